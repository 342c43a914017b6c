//go:build tools

// Package etcd names etcd's server: its dependencies differ from Kubernetes', and its module has replace lines too.
package etcd

import _ "go.etcd.io/etcd/server/v3"
