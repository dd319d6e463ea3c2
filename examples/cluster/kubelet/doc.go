// Package kubelet runs Pods of an API server as processes of this machine, as far as a Pod with wisp in it can tell
// the difference: a network namespace per Pod, a mount and a PID namespace per container, volumes, tokens and
// fields as the API server and the Pod say, users, capabilities and probes, and the order of a real kubelet: init
// containers one after another, sidecars until all else has ended.
//
// It needs root and Linux, and pulls no images: the files of each are programs of this machine. A program that uses
// the package calls [Main] before all else. What a Pod asks for that is not done is an error, but for seccomp
// profiles, resources, liveness and readiness probes, which change nothing here. Variables are not expanded in values and arguments.
package kubelet
