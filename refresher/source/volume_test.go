package source_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

// A volume is a directory that is written the way the kubelet's AtomicWriter does it.
type volume struct {
	t     testing.TB
	dir   string
	count int
}

func newVolume(t testing.TB) *volume {
	dir := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return &volume{t: t, dir: dir}
}

func (v *volume) path() string { return filepath.Join(v.dir, "token") }

// swap makes token the volume's: a new directory, renamed into place as the link ..data.
func (v *volume) swap(token string) {
	v.t.Helper()
	v.count++
	name := fmt.Sprintf("..2026_%d", v.count)
	old, _ := os.Readlink(filepath.Join(v.dir, "..data"))
	steps := []error{
		os.Mkdir(filepath.Join(v.dir, name), 0o700),
		os.WriteFile(filepath.Join(v.dir, name, "token"), []byte(token), 0o600),
		os.Symlink(name, filepath.Join(v.dir, "..data_tmp")),
		os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")),
	}
	if old == "" {
		steps = append(steps, os.Symlink("..data/token", v.path()))
	} else {
		steps = append(steps, os.RemoveAll(filepath.Join(v.dir, old)))
	}
	if err := errors.Join(steps...); err != nil {
		v.t.Fatal(err)
	}
}

// claims are the claims of a token of a test.
type claims map[string]any

// jwt makes a compact token with a signature as long as RS256's of a 2048-bit key. It proves
// nothing.
func jwt(c claims) string {
	header, err := json.Marshal(claims{"alg": "RS256", "kid": "k1"})
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return segment(header) + "." + segment(payload) + "." + segment(make([]byte, 256))
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// hourToken is the n-th token of an issuer: good for an hour from now.
func hourToken(n int) string {
	now := time.Now()
	return jwt(claims{"iss": "https://issuer.test", "sub": "s", "aud": []string{"a"}, "jti": fmt.Sprint(n),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
}

func newFile(t testing.TB, o source.FileOptions) *source.File {
	t.Helper()
	f, err := source.NewFile(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// run runs f until the test calls the result, which waits for Run's end.
func run(t testing.TB, r refresher.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// mustToken returns what f.Token gives.
func mustToken(t testing.TB, f *source.File) string {
	t.Helper()
	token, err := f.Token(t.Context())
	if err != nil {
		t.Fatalf("Token: %v", err)
	}
	return token.Raw.Reveal()
}

// mustFail returns the error that f.Token gives.
func mustFail(t testing.TB, f *source.File) *refresher.Error {
	t.Helper()
	token, err := f.Token(t.Context())
	if err == nil {
		t.Fatalf("Token = %v, want an error", token)
	}
	if token != (refresher.Token{}) {
		t.Errorf("Token along with an error = %v, want none", token)
	}
	e, ok := errors.AsType[*refresher.Error](err)
	if !ok || e.Class != refresher.SubjectToken {
		t.Fatalf("Token: error %v, want a *refresher.Error of class subject_token", err)
	}
	return e
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// fired reports whether f has a change to tell, and takes it.
func fired(f *source.File) bool {
	select {
	case <-f.Changed():
		return true
	default:
		return false
	}
}

// records is a slog.Handler that keeps messages.
type records struct {
	mu    sync.Mutex
	lines []string // level, message, attributes
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithGroup(string) slog.Handler            { return r }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) Handle(_ context.Context, record slog.Record) error {
	line := record.Level.String() + " " + record.Message
	record.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	return nil
}

// count is how many lines hold all of parts.
func (r *records) count(parts ...string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.lines {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			n++
		}
	}
	return n
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}
