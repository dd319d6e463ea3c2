// Package control starts a Kubernetes control plane on loopback: etcd and kube-apiserver, and nothing else. Pods are
// objects and no more, for there is no kubelet; package kubelet does for some of them what one would do.
//
// kube-apiserver is built from its Go module, as the tool of ../apiserver, and kept in the user's cache: minutes when
// nothing is cached, a second otherwise. etcd is Debian's package etcd-server, or any other 3.4 or newer on PATH.
package control
