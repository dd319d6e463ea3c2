package main

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownSignals are about this process.
var ownSignals = []os.Signal{syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE}

// terminalSignals are sent by a terminal to all processes in front of it, so the command has them already.
var terminalSignals = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGWINCH, syscall.SIGCONT}

// forwards reports whether a command that exec runs is to get a signal that wisp got.
func forwards(s os.Signal, onTerminal bool) bool {
	return !slices.Contains(ownSignals, s) && !(onTerminal && slices.Contains(terminalSignals, s))
}

// onTerminal reports whether standard input is a terminal.
func onTerminal() bool {
	_, err := unix.IoctlGetWinsize(int(os.Stdin.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
