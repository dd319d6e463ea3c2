package file_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/file"
)

// mounting runs the test, as alone does, in user and mount namespaces of its own, where anybody may
// mount. A system that forbids that skips the test, and fails it in CI.
func mounting(t *testing.T) bool {
	t.Helper()
	namespaces := func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	forbidden := t.Skipf
	if os.Getenv("CI") == "true" {
		forbidden = t.Fatalf
	}
	program, err := os.Executable()
	must(t, err)
	probe := exec.Command(program, "-test.run=^$")
	namespaces(probe)
	if out, err := probe.CombinedOutput(); err != nil {
		forbidden("no namespaces: %v\n%s", err, out)
	}
	if !alone(t, namespaces) {
		return false
	}
	dir := t.TempDir()
	if err := syscall.Mount("wisp-test", dir, "tmpfs", 0, ""); err != nil {
		forbidden("namespaces, but no mounts: %v", err) // as AppArmor has it
	}
	must(t, syscall.Unmount(dir, 0))
	return true
}

// disk is a small file system in memory.
func disk(t *testing.T, options string) string {
	t.Helper()
	dir := private(t)
	must(t, syscall.Mount("wisp-test", dir, "tmpfs", 0, options+",mode=0700"))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// The file system of 16 pages holds the old file and nothing more, or a part of the new one.
func TestWriterOnAFullFileSystem(t *testing.T) {
	if !mounting(t) {
		return
	}
	page := os.Getpagesize()
	long := strings.Repeat("x", 3*page)
	// blocks leaves free pages, and gives back what it took.
	blocks := func(free int) func(t *testing.T, dir string) func() {
		return func(t *testing.T, dir string) func() {
			ballast := filepath.Join(dir, ".ballast")
			f, err := os.Create(ballast)
			must(t, err)
			defer f.Close()
			size := 0
			for ; err == nil; size += page {
				_, err = f.Write(make([]byte, page))
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			must(t, f.Truncate(int64(size-page*(1+free))))
			return func() { must(t, os.Remove(ballast)) }
		}
	}
	names := func(t *testing.T, dir string) func() {
		ballast := filepath.Join(dir, ".ballast")
		must(t, os.Mkdir(ballast, 0o700))
		var err error
		for n := 0; err == nil; n++ {
			var f *os.File
			if f, err = os.Create(filepath.Join(ballast, strconv.Itoa(n))); err == nil {
				must(t, f.Close())
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		return func() { must(t, os.RemoveAll(ballast)) }
	}
	for _, test := range []struct {
		name, options, want string
		fill                func(t *testing.T, dir string) (empty func())
	}{
		{"no page is free", "", "write: no space left on device", blocks(0)},
		{"one page is free, of three", "", "write: no space left on device", blocks(1)},
		{"no file can be made", ",nr_inodes=16", "create a temporary file beside it: no space left on device", names},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := disk(t, "size="+strconv.Itoa(16*page)+test.options)
			path := filepath.Join(dir, "token")
			synctest.Test(t, func(t *testing.T) {
				w := start(t, file.Options{Path: path})
				w.give(bearer("old"))
				empty := test.fill(t, dir)
				w.give(bearer(long))
				for range 5 {
					w.fails(path + ": " + test.want)
					holds(t, path, "old")
					contains(t, dir, ".ballast", "token")
					w.pass(latest)
				}
				empty()
				w.pass(latest)
				holds(t, path, long)
				contains(t, dir, "token")
				w.succeeds()

				// What has expired goes, for which no space is needed.
				empty = test.fill(t, dir)
				w.pass(time.Hour)
				contains(t, dir, ".ballast")
				empty()
				w.stop()
				if n := strings.Count(w.log.String(), "no space left on device"); n != 1 {
					t.Errorf("the log tells of the full disk %d times, want once:\n%s", n, w.log)
				}
			})
		})
	}
}

func TestWriterOnAFileSystemThatBecomesReadOnly(t *testing.T) {
	if !mounting(t) {
		return
	}
	dir := disk(t, "size=64k")
	path := filepath.Join(dir, "token")
	remount := func(flags uintptr) { must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, "")) }
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer("old"))
		remount(syscall.MS_RDONLY)
		w.give(bearer("new"))
		for range 5 {
			w.fails(path + ": create a temporary file beside it: read-only file system")
			holds(t, path, "old")
			contains(t, dir, "token")
			w.pass(latest)
		}
		remount(0)
		w.pass(latest)
		holds(t, path, "new")
		w.succeeds()

		// What has expired stays as long as nobody can remove it, and not longer.
		remount(syscall.MS_RDONLY)
		w.pass(time.Hour)
		w.fails(path + ": remove the expired credential: read-only file system")
		holds(t, path, "new")
		remount(0)
		w.pass(latest)
		contains(t, dir)
		w.stop()
		if n := strings.Count(w.log.String(), "level=WARN"); n != 3 {
			t.Errorf("%d warnings, want one for each failure and one for the removal:\n%s", n, w.log)
		}
	})
}

// A file that is itself a mount, as subPath makes one, cannot be replaced: all goes well up to the
// renaming.
func TestWriterOnAFileThatIsAMount(t *testing.T) {
	if !mounting(t) {
		return
	}
	dir := private(t)
	path := filepath.Join(dir, "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer("old"))
		must(t, syscall.Mount(path, path, "", syscall.MS_BIND, ""))
		w.give(bearer("new"))
		for range 5 {
			w.fails(path + ": rename: device or resource busy")
			holds(t, path, "old")
			contains(t, dir, "token")
			w.pass(latest)
		}
		must(t, syscall.Unmount(path, 0))
		w.pass(latest)
		holds(t, path, "new")
		w.succeeds()
	})
}
