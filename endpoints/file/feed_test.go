package file_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/file"
	"github.com/wisp-sidecar/wisp/refresher"
)

// A feed is an identity of which the test plays the part: it yields what is sent to it.
type feed chan refresher.Credential

func (f feed) Watch(ctx context.Context, _ refresher.Target) iter.Seq2[refresher.Credential, error] {
	return func(yield func(refresher.Credential, error) bool) {
		for {
			select {
			case c := <-f:
				if !yield(c, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// bearer is a credential that lives for an hour from now.
func bearer(token string) refresher.Credential {
	return refresher.Credential{Value: refresher.Bearer{Token: refresher.Secret(token)}, Expires: time.Now().Add(time.Hour)}
}

// encode writes the token as it is; "unfit" cannot be encoded.
func encode(c refresher.Credential) ([]byte, error) {
	if c.Value == nil {
		return []byte("how to"), nil
	}
	token := c.Value.(refresher.Bearer).Token.Reveal()
	if token == "unfit" {
		return nil, errors.New("not in this format")
	}
	return []byte(token), nil
}

// A writing is a Writer that runs until the test, or stop, ends it.
type writing struct {
	*file.Writer
	t    *testing.T
	feed feed
	log  *bytes.Buffer // read it after stop
	stop func()
}

// start runs a Writer for o. It is meant for a bubble: settle tells when it is idle.
func start(t *testing.T, o file.Options) *writing {
	t.Helper()
	w := &writing{t: t, feed: make(feed), log: &bytes.Buffer{}}
	o.Encode, o.Log = encode, slog.New(slog.NewTextHandler(w.log, nil))
	writer, err := file.New(o, w.feed)
	if err != nil {
		t.Fatal(err)
	}
	w.Writer = writer
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- writer.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
	t.Cleanup(w.stop)
	return w
}

// give sends a credential and waits until the Writer has done what it can about it.
func (w *writing) give(c refresher.Credential) {
	w.feed <- c
	synctest.Wait()
}

// pass lets virtual time pass.
func (w *writing) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// fails checks that the Writer says why it cannot write, and shows no token anywhere.
func (w *writing) fails(want string) {
	w.t.Helper()
	if err := w.Err(); err == nil || !strings.Contains(err.Error(), want) {
		w.t.Errorf("Err() = %v, want one with %q", err, want)
	}
}

func (w *writing) succeeds() {
	w.t.Helper()
	if err := w.Err(); err != nil {
		w.t.Errorf("Err() = %v, want nil", err)
	}
	if !w.Written() {
		w.t.Error("Written() = false after a success")
	}
}

// holds checks a file's content.
func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	} else if string(got) != want {
		t.Errorf("%s holds %.40q, want %.40q", path, got, want)
	}
}

// contains checks which names a directory has.
func contains(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s contains %q, want %q", dir, got, want)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// private is a temporary directory with permissions that do not depend on the umask.
func private(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	must(t, os.Mkdir(dir, 0o700))
	return dir
}
