package source

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// termGrace is how long a program that was asked to end may take, and also how long what it has started
// may go on printing after its end.
const termGrace = 2 * time.Second

var (
	errRunTooLong    = errors.New("the run takes too long")
	errPrintsTooMuch = errors.New("the program prints too much")
)

// run runs the program once. It returns what was printed, and how many bytes of complaints there were.
// The error is an *exec.ExitError if the program has ended by itself.
func (e *Executable) run(ctx context.Context) (printed []byte, complaints int, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, e.options.Timeout, errRunTooLong)
	defer cancel()
	stdout := limited{full: func() { end(errPrintsTooMuch) }}
	var stderr count

	command := exec.CommandContext(ctx, e.options.Command[0], e.options.Command[1:]...)
	command.Env = e.options.environment()
	command.Dir = "/"
	command.Stdout, command.Stderr = &stdout, &stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error {
		if syscall.Kill(-command.Process.Pid, syscall.SIGTERM) != nil {
			return os.ErrProcessDone
		}
		return nil
	}
	// Then the program is killed, and its pipes are closed, whoever else holds them.
	command.WaitDelay = e.grace
	err = command.Run()
	if command.Process != nil {
		endGroup(command.Process.Pid)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return stdout.text.Bytes(), int(stderr), err
}

// endGroup kills what is left of the process group of a program that has ended. Where wisp is the first
// process of a container, orphans have become its children, and it is the one who has to collect them.
func endGroup(leader int) {
	if syscall.Kill(-leader, syscall.SIGKILL) != nil {
		return // nothing is left
	}
	for {
		_, err := syscall.Wait4(-leader, nil, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return // none of them is a child of ours, or not any more
		}
	}
}

// limited keeps up to maxToken bytes.
type limited struct {
	text bytes.Buffer
	full func()
}

func (l *limited) Write(p []byte) (int, error) {
	if l.text.Len()+len(p) > maxToken {
		l.full()
		return 0, errPrintsTooMuch
	}
	return l.text.Write(p)
}

// count keeps nothing.
type count int

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}
