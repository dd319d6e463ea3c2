package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// An answer is what became of one "get".
type answer struct {
	Ready       bool     `json:"ready"`
	Who         string   `json:"who"`         // whom the cloud takes the client for
	Credentials []string `json:"credentials"` // fingerprints
	Error       string   `json:"error"`       // the client's own
}

// A process is a client that runs.
type process interface {
	// get has the client get a credential and use it. The error is not the client's: it says that the process is no more,
	// or that it has not answered in time.
	get(ctx context.Context) (answer, error)
	// end ends it, and returns all that it has written besides answers.
	end() string
}

// patience is how long a client may take for one "get", retries and all: longer than the longest of them.
const patience = 5 * time.Minute

// A driver is a program that is told "get" by its standard input.
type driver struct {
	command *exec.Cmd
	in      io.WriteCloser
	answers chan answer // closed when its standard output is
	stderr  lockedBuffer
}

// startDriver starts a driver, and waits until it is ready: its client is loaded, but has done nothing.
func startDriver(ctx context.Context, command []string, dir string, environ []string) (*driver, error) {
	d := &driver{command: exec.CommandContext(ctx, command[0], command[1:]...), answers: make(chan answer)}
	d.command.Dir, d.command.Env, d.command.Stderr = dir, environ, &d.stderr
	d.command.WaitDelay = 5 * time.Second
	var err error
	if d.in, err = d.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := d.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := d.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(d.answers)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var a answer
			if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
				_, _ = d.stderr.Write(append(lines.Bytes(), '\n'))
				continue
			}
			d.answers <- a
		}
	}()
	if a, err := d.answer(ctx); err != nil || !a.Ready {
		return nil, fmt.Errorf("%q does not start: %w\n%s", command, err, d.end())
	}
	return d, nil
}

func (d *driver) get(ctx context.Context) (answer, error) {
	if _, err := io.WriteString(d.in, "get\n"); err != nil {
		return answer{}, err
	}
	return d.answer(ctx)
}

func (d *driver) answer(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case a, open := <-d.answers:
		if !open {
			return answer{}, errors.New("the client has ended: " + d.stderr.String())
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, fmt.Errorf("no answer in %v", patience)
	}
}

func (d *driver) end() string {
	_ = d.in.Close()
	go func() {
		for range d.answers { //nolint:revive // so that the reader comes to its end
		}
	}()
	_ = d.command.Wait() // it may have been killed
	return d.stderr.String()
}

// A tool is a client that is a command of a shell: each "get" runs it anew, as its users do.
type tool struct {
	script  string
	dir     string
	environ []string
	// use finds out, from what the script printed, whom the cloud takes the caller for, and what identifies the credential.
	use    func(gives, stdout string) (who, credential string, err error)
	gives  string
	places chan struct{} // see places
	said   strings.Builder
}

func (c *tool) get(ctx context.Context) (answer, error) {
	c.places <- struct{}{}
	defer func() { <-c.places }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-euc", c.script)
	shell.Dir, shell.Env = c.dir, c.environ
	shell.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	shell.Stdout, shell.Stderr = &stdout, &stderr
	err := shell.Run()
	c.said.Write(stderr.Bytes())
	if ctx.Err() != nil {
		return answer{}, fmt.Errorf("no end in %v", patience)
	}
	if err != nil {
		return answer{Error: fmt.Sprintf("%v: %s", err, strings.TrimSpace(stderr.String()))}, nil
	}
	who, credential, err := c.use(c.gives, strings.TrimSpace(stdout.String()))
	if err != nil {
		return answer{Error: err.Error()}, nil
	}
	sum := sha256.Sum256([]byte(credential))
	return answer{Who: who, Credentials: []string{hex.EncodeToString(sum[:])}}, nil
}

func (c *tool) end() string { return c.said.String() }

// environ is the environment of a client: what every program has, but of the user nothing, and vars.
func environ(home string, vars map[string]string) []string {
	all := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8", "TMPDIR=" + home,
		// Python and Node would send even what is for loopback to a proxy.
		"NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost",
		"HTTP_PROXY=http://127.0.0.1:9", "http_proxy=http://127.0.0.1:9",
	}
	for name, value := range vars {
		all = append(all, name+"="+value)
	}
	return all
}
