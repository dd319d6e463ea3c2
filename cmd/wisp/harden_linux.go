package main

import "golang.org/x/sys/unix"

// harden keeps credentials out of core files and away from other processes of the same user, which
// could otherwise read our memory in a Pod that shares its process namespace. Both calls can be
// forbidden by a seccomp profile; wisp runs without them then.
func harden() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
