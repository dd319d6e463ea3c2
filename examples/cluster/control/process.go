package control

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// A process runs until its context ends.
type process struct {
	command *exec.Cmd
	log     string          // the file with its output
	ended   <-chan struct{} // closed
	err     error           // why, when ended is closed
}

// start starts a program whose output goes to a file of its name in dir.
func start(ctx context.Context, dir, program string, args ...string) (*process, error) {
	p := &process{command: exec.CommandContext(ctx, program, args...)}
	p.log = filepath.Join(dir, filepath.Base(program)+".log")
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.command.Stdout, p.command.Stderr = log, log
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = 5 * time.Second
	p.ended, err = Spawn(p.command, func(err error) { p.err = err })
	return p, err
}

// Spawn starts a process that does not outlive this one, whatever ends it. At its end, after does something with what
// Wait has returned, and then ended is closed.
func Spawn(command *exec.Cmd, after func(error)) (ended <-chan struct{}, err error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, done := make(chan error), make(chan struct{})
	go func() {
		// It is the end of the thread that kills the child, and other goroutines may end theirs.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			after(command.Wait())
			close(done)
		}
	}()
	return done, <-started
}

// failure is why the process ended, with the end of its log; nil while it runs.
func (p *process) failure() error {
	select {
	case <-p.ended:
	default:
		return nil
	}
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s: %v\n%s", p.command.Path, p.err, text[max(0, len(text)-4<<10):])
}
