package file_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/file"
)

func TestWriterRefusesWhatIsNotItsFile(t *testing.T) {
	for _, test := range []struct {
		name, want string
		make       func(t *testing.T, other, path string)
	}{
		{"a symbolic link to a file", "symbolic link", func(t *testing.T, other, path string) { must(t, os.Symlink(other, path)) }},
		{"a symbolic link to nothing", "symbolic link", func(t *testing.T, other, path string) { must(t, os.Symlink(other+"-not", path)) }},
		{"a hard link", "hard link", func(t *testing.T, other, path string) { must(t, os.Link(other, path)) }},
		{"a FIFO", "not a regular file", func(t *testing.T, _, path string) { must(t, syscall.Mkfifo(path, 0o600)) }},
		{"a directory", "not a regular file", func(t *testing.T, _, path string) { must(t, os.Mkdir(path, 0o700)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, elsewhere := private(t), private(t)
			path, other := filepath.Join(dir, "token"), filepath.Join(elsewhere, "other")
			put(t, other, "other")
			test.make(t, other, path)
			before, err := os.Lstat(path)
			must(t, err)
			synctest.Test(t, func(t *testing.T) {
				w := start(t, file.Options{Path: path, Cleanup: file.CleanupOnExit})
				w.give(bearer("token"))
				w.fails(test.want)
				if w.Written() {
					t.Error("Written() = true")
				}
				w.pass(2 * time.Hour) // nor is it removed when the credential expires
				w.stop()
				after, err := os.Lstat(path)
				must(t, err)
				if !os.SameFile(before, after) {
					t.Errorf("%s was replaced: %v", path, after.Mode())
				}
			})
			contains(t, dir, "token")
			contains(t, elsewhere, "other")
			holds(t, other, "other")
		})
	}
}

func TestWriterRefusesADirectoryOpenToOthers(t *testing.T) {
	for _, test := range []struct {
		mode  fs.FileMode
		allow bool
		ok    bool
	}{
		{0o700, false, true},
		{0o755, false, true},
		{0o770, false, false},
		{0o757, false, false},
		{0o777, false, false},
		{0o777 | fs.ModeSetgid, false, false},
		{0o777 | fs.ModeSticky, false, true},
		{0o777, true, true},
	} {
		dir := private(t)
		must(t, os.Chmod(dir, test.mode))
		o := file.Options{Path: filepath.Join(dir, "token"), Encode: encode, AllowInsecureParent: test.allow}
		if _, err := file.New(o, make(feed)); (err == nil) != test.ok {
			t.Errorf("New in a directory with %v, allowed %t: %v, want success to be %t", test.mode, test.allow, err, test.ok)
		}
	}
}

func TestWriterStopsInADirectoryThatWasOpenedToOthers(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer("one"))
		must(t, os.Chmod(dir, 0o777))
		w.give(bearer("two"))
		w.fails("allowInsecureParent")
		holds(t, path, "one")
	})
}

func TestModeDoesNotDependOnTheUmask(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := private(t)
	for _, umask := range []int{0o000, 0o022, 0o777} {
		for _, mode := range []fs.FileMode{0, 0o400, 0o600, 0o640, 0o644} {
			synctest.Test(t, func(t *testing.T) {
				before := syscall.Umask(umask)
				defer syscall.Umask(before)
				path := filepath.Join(dir, "token")
				w := start(t, file.Options{Path: path, Mode: mode})
				for _, token := range []string{"one", "two"} {
					w.give(bearer(token))
					info, err := os.Stat(path)
					must(t, err)
					want := mode
					if mode == 0 {
						want = file.DefaultMode
					}
					if info.Mode() != want {
						t.Errorf("umask %#o, mode %#o: the file has %#o", umask, mode, info.Mode())
					}
				}
			})
		}
	}
}

func TestGroup(t *testing.T) {
	group := os.Getgid()
	if os.Geteuid() == 0 {
		group = 4711 // root may choose any
	}
	path := filepath.Join(private(t), "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path, Mode: 0o640, Group: &group})
		w.give(bearer("token"))
		w.succeeds()
		info, err := os.Stat(path)
		must(t, err)
		if got := info.Sys().(*syscall.Stat_t).Gid; int(got) != group || info.Mode() != 0o640 {
			t.Errorf("the file has group %d and mode %v, want %d and 0640", got, info.Mode(), group)
		}
	})
}

// A limit on the size of files ends a write in the middle, as a full file system does, and needs no
// rights. It holds for the whole process, and go test keeps a log file.
func TestWriterKeepsTheOldFileWhenAWriteEndsEarly(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := private(t)
	path := filepath.Join(dir, "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer("old"))
		var before syscall.Rlimit
		must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
		full := before
		full.Cur = 1 << 20
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full))
		defer func() { must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)) }()
		long := string(make([]byte, 3<<19))
		w.give(bearer(long))
		for range 5 {
			w.fails(path + ": write: ")
			holds(t, path, "old")
			contains(t, dir, "token")
			w.pass(latest)
		}
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
		w.pass(latest)
		holds(t, path, long)
		w.succeeds()
	})
}

// A directory on the way turns into a link to another place, and back, while the Writer writes.
func TestWriterNeverFollowsADirectoryThatBecomesALink(t *testing.T) {
	base := private(t)
	live, aside, outside := filepath.Join(base, "live"), filepath.Join(base, "aside"), filepath.Join(base, "outside")
	must(t, os.MkdirAll(filepath.Join(live, "out"), 0o700))
	must(t, os.MkdirAll(filepath.Join(outside, "out"), 0o700))
	identity := make(feed)
	writer, err := file.New(file.Options{Path: filepath.Join(live, "out", "token"), Encode: encode, Cleanup: file.CleanupNever}, identity)
	must(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = writer.Run(ctx) })
	for n := range 500 {
		var swapping sync.WaitGroup
		swapping.Go(func() {
			_ = os.Rename(live, aside)
			_ = os.Symlink(outside, live)
			for range n % 100 { // a while, another each time
				_, _ = os.Lstat(live)
			}
			_ = os.Remove(live)
			_ = os.Rename(aside, live)
		})
		identity <- bearer("token " + strconv.Itoa(n))
		swapping.Wait()
	}
	for range 3 { // when the third is accepted, the first has been written
		identity <- bearer("last")
	}
	holds(t, filepath.Join(live, "out", "token"), "last")
	cancel()
	running.Wait()
	contains(t, filepath.Join(outside, "out"))
	contains(t, filepath.Join(live, "out"), "token")
}

// A link that was there from the start is the operator's.
func TestWriterFollowsALinkThatWasThereBefore(t *testing.T) {
	base := private(t)
	real, elsewhere, link := filepath.Join(base, "real"), filepath.Join(base, "elsewhere"), filepath.Join(base, "link")
	must(t, os.Mkdir(real, 0o700))
	must(t, os.Mkdir(elsewhere, 0o700))
	must(t, os.Symlink(real, link))
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: filepath.Join(link, "token")})
		w.give(bearer("one"))
		holds(t, filepath.Join(real, "token"), "one")
		must(t, os.Remove(link))
		must(t, os.Symlink(elsewhere, link))
		w.give(bearer("two"))
		holds(t, filepath.Join(real, "token"), "two")
		contains(t, elsewhere)

		must(t, os.Rename(real, real+"-moved"))
		must(t, os.Symlink(elsewhere, real))
		w.give(bearer("three"))
		w.fails("not a directory")
		contains(t, elsewhere)
	})
}
