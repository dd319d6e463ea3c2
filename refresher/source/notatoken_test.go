package source_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

func TestWhatIsNoFileIsRefusedWithoutWaiting(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(path string) error
		code string
		hint string
	}{
		{"nothing", func(string) error { return nil }, refresher.CodeSubjectMissing, "mount the projected volume"},
		{"a FIFO", func(p string) error { return syscall.Mkfifo(p, 0o600) }, refresher.CodeSubjectInvalid, ""},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o700) }, refresher.CodeSubjectInvalid, "add the name of the token's file"},
		{"a device", func(p string) error { return os.Symlink("/dev/zero", p) }, refresher.CodeSubjectInvalid, ""},
		{"a socket", listen, refresher.CodeSubjectInvalid, ""},
		{"a dangling link", func(p string) error { return os.Symlink("nowhere", p) }, refresher.CodeSubjectMissing, ""},
		{"a loop of links", func(p string) error { return os.Symlink(filepath.Base(p), p) }, refresher.CodeSubjectMissing, "leads back"},
		{"a file where a directory should be", func(p string) error {
			return os.WriteFile(filepath.Dir(p), nil, 0o600)
		}, refresher.CodeSubjectMissing, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Not t.TempDir: the name of a socket must be short.
			root, err := os.MkdirTemp("", "wisp")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(root) })
			path := filepath.Join(root, "d", "token")
			if !strings.HasPrefix(test.name, "a file where") {
				if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := test.make(path); err != nil {
				t.Fatal(err)
			}
			f := newFile(t, source.FileOptions{Path: path})
			answer := make(chan error, 1)
			go func() {
				_, err := f.Token(t.Context())
				answer <- err
			}()
			select {
			case err := <-answer:
				e := refresher.AsError(err)
				if e == nil || e.Code != test.code || e.Class != refresher.SubjectToken {
					t.Errorf("Token: error %v, want code %q", err, test.code)
				} else if !strings.Contains(e.Hint, test.hint) {
					t.Errorf("hint %q, want one with %q", e.Hint, test.hint)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("Token does not return")
			}
		})
	}
}

func listen(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l.Close()
}

func TestHugeFileIsRefusedInBoundedMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "")
	if err := os.Truncate(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	f := newFile(t, source.FileOptions{Path: path})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e := mustFail(t, f)
	runtime.ReadMemStats(&after)
	if e.Code != refresher.CodeSubjectInvalid {
		t.Errorf("code %q, want %q", e.Code, refresher.CodeSubjectInvalid)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("reading 1 GiB took %d bytes of memory, want less than 1 MiB", got)
	}
}
