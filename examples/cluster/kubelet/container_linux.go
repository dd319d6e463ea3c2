package kubelet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wisp-sidecar/wisp/examples/cluster/control"
)

// A Container is one that runs, or has run.
type Container struct {
	command *exec.Cmd
	output  lockedBuffer
	ended   <-chan struct{} // closed
	err     error           // how it ended, when ended is closed
}

// Output is what the container has written so far.
func (c *Container) Output() string { return c.output.String() }

// Done is closed when the process has ended.
func (c *Container) Done() <-chan struct{} { return c.ended }

// Wait waits for the end of the process. A status other than 0 is an error, in which the output is quoted.
func (c *Container) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w; until then:\n%s", context.Cause(ctx), c.Output())
	case <-c.ended:
	}
	if c.err != nil {
		return fmt.Errorf("%w\n%s", c.err, c.Output())
	}
	return nil
}

// Signal sends the process a signal.
func (c *Container) Signal(s os.Signal) error { return c.command.Process.Signal(s) }

// start starts a process according to a plan in the Pod's network. It gets the input, and no end of it if it stays open.
func (n *network) start(p plan, input string, open bool) (*Container, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	in, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	defer write.Close()
	c := &Container{command: exec.Command("/proc/self/exe")}
	c.command.Args, c.command.Env = []string{insideOf}, []string{}
	c.command.ExtraFiles = []*os.File{in, n.namespace} // planFile, networkFile
	c.command.Stdout, c.command.Stderr = &c.output, &c.output
	c.command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	closed := func() {}
	// It may have ended before it has read its input, or before this goroutine goes on: neither is a failure to start.
	c.command.Stdin = strings.NewReader(input)
	if open {
		stdin, feed, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer stdin.Close()
		closed = func() { _ = feed.Close() }
		if _, err := io.WriteString(feed, input); err != nil { // far less than a pipe takes before anybody reads
			closed()
			return nil, err
		}
		c.command.Stdin = stdin
	}
	c.ended, err = control.Spawn(c.command, func(err error) {
		c.err = err
		closed()
	})
	if err != nil {
		closed()
		return nil, err
	}
	_, err = write.Write(text)
	return c, err
}

// grace is terminationGracePeriodSeconds as it is if nobody says.
const grace = 30 * time.Second

// stop asks the process to end, and ends it when it does not.
func (c *Container) stop() error {
	_ = c.command.Process.Signal(unix.SIGTERM)
	select {
	case <-c.ended:
		return nil
	case <-time.After(grace):
		_ = c.command.Process.Kill()
		<-c.ended
		return fmt.Errorf("still there %v after SIGTERM:\n%s", grace, c.Output())
	}
}

// A lockedBuffer is what a process writes.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
