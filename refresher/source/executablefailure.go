package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"syscall"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// reported is a failure that the program has told of.
func reported(f *execsource.Failure) *refresher.Error {
	return &refresher.Error{
		Class: refresher.SubjectToken,
		Code:  refresher.CodeSubjectMissing,
		Hint:  "the code and the message are the program's own: see its documentation",
		Err:   fmt.Errorf("it reports code %s: %s", upstream.Clean(f.Code), upstream.Clean(f.Message)),
	}
}

// runFailure is why a run gave nothing to look at.
func (e *Executable) runFailure(err error) *refresher.Error {
	failure := &refresher.Error{Class: refresher.SubjectToken, Code: refresher.CodeSubjectMissing}
	switch {
	case errors.Is(err, errRunTooLong):
		failure.Err = fmt.Errorf("killed: it was still running after %s", e.options.Timeout)
		failure.Hint = fmt.Sprintf("find out by hand what it waits for, or raise the timeout, which may be up to %s", maxRun)
	case errors.Is(err, errPrintsTooMuch):
		failure.Code = refresher.CodeSubjectInvalid
		failure.Err = fmt.Errorf("killed: it printed more than %d bytes", maxToken)
		failure.Hint = "it must print one JSON document and nothing else to its standard output"
	case errors.Is(err, exec.ErrWaitDelay):
		failure.Err = errors.New("it has ended, but something that it started kept its standard output or standard error open and was killed")
		failure.Hint = "let the program wait for what it starts, or redirect the output of that to /dev/null"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		failure.Class, failure.Code = refresher.Transient, ""
		failure.Err = fmt.Errorf("ended before it was done: %w", err)
	default:
		return startFailure(err)
	}
	return failure
}

// startFailure is why a program cannot be run. err may name files.
func startFailure(err error) *refresher.Error {
	cause := err
	path, isPath := errors.AsType[*fs.PathError](err)
	if isPath {
		cause = path.Err
	}
	failure := &refresher.Error{
		Class: refresher.SubjectToken,
		Code:  refresher.CodeSubjectMissing,
		Err:   fmt.Errorf("cannot be run: %w", cause),
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && isPath && path.Op == "fork/exec":
		// The file itself was there a moment ago.
		failure.Err = fmt.Errorf("cannot be run: its interpreter or loader is missing: %w", cause)
		failure.Hint = "wisp's image has neither a shell nor shared libraries: link the program statically, or base an image of your own on one that has them"
	case errors.Is(err, fs.ErrNotExist):
		failure.Hint = "mount the program into wisp's container, and compare the paths"
	case errors.Is(err, fs.ErrPermission):
		failure.Hint = "run chmod a+rx on it and on the directories above; a volume must not be mounted noexec"
	case errors.Is(err, syscall.ENOEXEC):
		failure.Hint = "it is built for another architecture, or is a script without #! in its first line"
	}
	return failure
}

// exitFailure is for a program that has ended without a document that says why.
func exitFailure(exit *exec.ExitError, complaints int) *refresher.Error {
	failure := &refresher.Error{
		Class: refresher.SubjectToken,
		Code:  refresher.CodeSubjectMissing,
		Hint:  "run it by hand with the same environment variables to see what it says",
		Err:   fmt.Errorf("it exited with %d, and with %d bytes on its standard error, which are not logged", exit.ExitCode(), complaints),
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		failure.Err = fmt.Errorf("it was ended by the signal %q", status.Signal())
		if status.Signal() == syscall.SIGKILL {
			failure.Hint = "SIGKILL is what the kernel sends when memory runs out: compare the container's memory limit"
		}
	}
	return failure
}
