// Package cluster proves injection on a real API server: etcd and kube-apiserver on loopback, the chart as Helm
// renders it, in both modes, and injected Pods whose containers run as processes.
package cluster
