package file_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wisp-sidecar/wisp/endpoints/file"
)

func TestWriteAndReadOwn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token.json")
	for _, content := range []string{"first", "second"} {
		if err := file.Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := file.ReadOwn(path, 10)
		if err != nil || string(got) != content {
			t.Errorf("ReadOwn = %q, %v, want %q", got, err, content)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v, want mode 0600", info.Mode(), err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("the directory has %v, %v, want the file alone", names, err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := file.Write(filepath.Join(open, "x"), nil); err == nil {
		t.Error("Write into a directory where others can replace the file: no error")
	}
}

func TestReadOwnRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for path, content := range map[string]string{"good": "text", "large": "longer than ten", "open": "text"} {
		if err := os.WriteFile(at(path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{os.Chmod(at("open"), 0o622), os.Symlink(at("good"), at("link")), unix.Mkfifo(at("pipe"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"good": "", "large": "has more than 10 bytes", "open": "others can write it", "link": "too many levels of symbolic links",
		"pipe": "is not a regular file", ".": "is not a regular file", "missing": "no such file",
	} {
		_, err := file.ReadOwn(at(name), 10)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("ReadOwn of %s = %v, want %q", name, err, want)
		}
	}
}

// Only one holds the lock, and all get their turn.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var holders, turns atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			unlock, err := file.Lock(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if holders.Add(1) != 1 {
				t.Error("two hold the lock")
			}
			turns.Add(1)
			holders.Add(-1)
			unlock()
		})
	}
	group.Wait()
	if turns.Load() != 20 {
		t.Errorf("%d had the lock, want 20", turns.Load())
	}

	unlock, err := file.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	impatient, end := context.WithCancel(t.Context())
	end()
	if _, err := file.Lock(impatient, path); err == nil {
		t.Error("Lock = nil while another one holds it")
	}
}
