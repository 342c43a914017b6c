//go:build tools

// Package coredns names the DNS server of clusters with a node.
package coredns

import _ "github.com/coredns/coredns"
