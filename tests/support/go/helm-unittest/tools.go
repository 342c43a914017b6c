//go:build tools

// Package unittest names a command that is built from here: its module replaces one that it needs, so
// `go install` refuses it.
package unittest

import _ "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"
