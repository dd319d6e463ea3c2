package control

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A process runs until its context ends.
type process struct {
	command *exec.Cmd
	log     string        // the file with its output
	ended   chan struct{} // closed
	err     error         // why, when ended is closed
}

// start starts a program whose output goes to a file of its name in dir.
func start(ctx context.Context, dir, program string, args ...string) (*process, error) {
	p := &process{command: exec.CommandContext(ctx, program, args...), ended: make(chan struct{})}
	p.log = filepath.Join(dir, filepath.Base(program)+".log")
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.command.Stdout, p.command.Stderr = log, log
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = 5 * time.Second
	// A test that is killed takes it along.
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
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
