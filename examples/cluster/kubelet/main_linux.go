package kubelet

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideOf is the first argument of this program when it is to become a container's process, and outside the variable
// that says that its mounts are its own.
const (
	insideOf = "wisp-kubelet-container"
	outside  = "WISP_KUBELET_MOUNTS"
)

// Main gives the program mounts of its own, so that it leaves none behind, and is where its containers begin. It
// returns in the program proper; without root, where nothing here works, at once.
func Main() {
	if os.Args[0] == insideOf {
		fmt.Fprintln(os.Stderr, "container:", become())
		os.Exit(127)
	}
	if os.Getuid() != 0 || os.Getenv(outside) != "" {
		return
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	again := exec.Command(self, os.Args[1:]...)
	again.Env = append(os.Environ(), outside+"=own")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Unshareflags make / private, too.
	again.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if err := again.Run(); err != nil && again.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "mounts of one's own:", err)
		os.Exit(1)
	}
	os.Exit(again.ProcessState.ExitCode())
}

// Able says why Pods cannot be run here; nil if they can.
func Able() error {
	if os.Getenv(outside) == "" {
		return fmt.Errorf("running Pods as processes takes root, and this is user %d", os.Getuid())
	}
	return nil
}
