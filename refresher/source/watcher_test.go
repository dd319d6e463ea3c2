package source_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

// These stories use the real inotify and real time. Nothing in them depends on how fast it is.

const watchdog = time.Minute

// watch runs a Watcher with log until the test ends.
func watch(t testing.TB, log *records) *source.Watcher {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("inotify is Linux's")
	}
	w := source.NewWatcher(slog.New(log))
	t.Cleanup(run(t, w))
	return w
}

// watched runs a File with w, and returns it when inotify watches it.
func watched(t testing.TB, w *source.Watcher, path string) (f *source.File, stop func()) {
	t.Helper()
	f = newFile(t, source.FileOptions{Path: path, Watcher: w})
	stop = run(t, f)
	t.Cleanup(stop)
	eventually(t, "inotify watches "+path, func() bool { return f.Status().Watch == "inotify" })
	return f, stop
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(watchdog)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still not so: %s", what)
		}
	}
}

// changed waits until f tells of a change and then holds token.
func changed(t testing.TB, f *source.File, token string) {
	t.Helper()
	limit := time.After(watchdog)
	for {
		select {
		case <-f.Changed():
			if mustToken(t, f) == token {
				return
			}
		case <-limit:
			t.Fatalf("Changed does not fire; status %+v", f.Status())
		}
	}
}

func TestSwapRacingReaders(t *testing.T) {
	v := newVolume(t)
	swaps, readers := 1000, 100
	if testing.Short() {
		swaps = 100
	}
	tokens := make([]string, swaps+1)
	number := make(map[string]int)
	for n := range tokens {
		tokens[n] = hourToken(n)
		number[tokens[n]] = n
	}
	v.swap(tokens[0])
	f, _ := watched(t, watch(t, &records{}), v.path())

	var newest atomic.Int64 // in place for certain
	var done atomic.Bool
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for !done.Load() {
				from := int(newest.Load())
				token, err := f.Token(t.Context())
				if err != nil {
					t.Errorf("Token: %v", err)
					return
				}
				n, known := number[token.Raw.Reveal()]
				if !known {
					t.Error("Token is neither an old nor a new one")
					return
				}
				if n < from {
					t.Errorf("Token is number %d, older than %d, which had been in place before", n, from)
					return
				}
			}
		})
	}
	for n := 1; n <= swaps; n++ {
		v.swap(tokens[n])
		newest.Store(int64(n))
	}
	done.Store(true)
	reading.Wait()

	last := hourToken(swaps + 1)
	v.swap(last)
	changed(t, f, last)
}

func TestDirectoryRemovedAndMadeAgain(t *testing.T) {
	v := newVolume(t)
	v.swap(hourToken(0))
	f, _ := watched(t, watch(t, &records{}), v.path())
	for n := range 2 {
		remove(t, v.dir)
		eventually(t, "the file is missing", func() bool { return f.Status().State == refresher.CodeSubjectMissing })
		if err := os.Mkdir(v.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		token := hourToken(n + 1)
		v.swap(token)
		changed(t, f, token)
		eventually(t, "inotify watches again", func() bool { return f.Status() == source.FileStatus{Watch: "inotify"} })
	}
	token := hourToken(9)
	v.swap(token)
	changed(t, f, token)
}

func TestFilesShareAWatcher(t *testing.T) {
	w := watch(t, &records{})
	one, two := newVolume(t), newVolume(t)
	one.swap(hourToken(1))
	two.swap(hourToken(2))
	alias := filepath.Join(t.TempDir(), "alias")
	if err := os.Symlink(one.dir, alias); err != nil {
		t.Fatal(err)
	}
	first, stopFirst := watched(t, w, one.path())
	second, _ := watched(t, w, two.path())
	same, _ := watched(t, w, one.path())
	through, _ := watched(t, w, filepath.Join(alias, "token"))

	token := hourToken(3)
	one.swap(token)
	for _, f := range []*source.File{first, same, through} {
		changed(t, f, token)
	}
	if fired(second) {
		t.Error("Changed fired for a file in another directory")
	}

	// The directory is still watched when one of its files is not any more.
	stopFirst()
	token = hourToken(4)
	one.swap(token)
	changed(t, same, token)
	changed(t, through, token)
	token = hourToken(5)
	two.swap(token)
	changed(t, second, token)
}

func TestPathThroughLinks(t *testing.T) {
	w := watch(t, &records{})
	v := newVolume(t)
	v.swap(hourToken(0))
	data, _ := watched(t, w, filepath.Join(v.dir, "..data", "token"))

	root := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tokenB := hourToken(100)
	write(t, filepath.Join(root, "a", "token"), hourToken(99))
	write(t, filepath.Join(root, "b", "token"), tokenB)
	if err := os.Symlink("a", filepath.Join(root, "current")); err != nil {
		t.Fatal(err)
	}
	linked, _ := watched(t, w, filepath.Join(root, "current", "token"))

	for n := range 5 {
		token := hourToken(n + 1)
		v.swap(token)
		changed(t, data, token)
	}
	if err := os.Symlink("b", filepath.Join(root, "next")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "next"), filepath.Join(root, "current")); err != nil {
		t.Fatal(err)
	}
	changed(t, linked, tokenB)
}

// instances hands out inotify instances as long as there are any, and keeps the last one.
type instances struct {
	none atomic.Bool
	last atomic.Pointer[fsnotify.Watcher]
}

func (i *instances) open() (*fsnotify.Watcher, error) {
	if i.none.Load() {
		return nil, errors.New("too many open files")
	}
	w, err := fsnotify.NewWatcher()
	i.last.Store(w)
	return w, err
}

func TestInotifyFailsAndComesBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("inotify is Linux's")
	}
	log := &records{}
	w := source.NewWatcher(slog.New(log))
	var from instances
	from.none.Store(true)
	w.SetOpen(from.open, time.Millisecond)
	t.Cleanup(run(t, w))
	v := newVolume(t)
	v.swap(hourToken(0))
	f := newFile(t, source.FileOptions{Path: v.path(), Watcher: w})
	t.Cleanup(run(t, f))
	mode := func(want string) func() bool { return func() bool { return f.Status().Watch == want } }
	eventually(t, "it is polled", mode("poll"))
	missing := func() int { return log.count("WARN", "inotify is not available") }
	eventually(t, "inotify was tried", func() bool { return missing() > 0 }) // the file does not wait for that
	from.none.Store(false)
	eventually(t, "inotify has come", mode("inotify"))
	if got := missing(); got != 1 {
		t.Errorf("%d lines about inotify missing, want 1", got)
	}
	token := hourToken(1)
	v.swap(token)
	changed(t, f, token)

	// An error of the instance ends it; the file does not wait for its 60 s to notice.
	from.none.Store(true)
	from.last.Load().Errors <- errors.New("out of luck")
	eventually(t, "it is polled again", mode("poll"))
	from.none.Store(false)
	eventually(t, "inotify has come again", mode("inotify"))
	if got := missing(); got != 2 {
		t.Errorf("%d lines about inotify missing twice, want 2:\n%v", got, log)
	}
	token = hourToken(2)
	v.swap(token)
	changed(t, f, token)
}

func TestLostEvents(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("inotify is Linux's")
	}
	log := &records{}
	w := source.NewWatcher(slog.New(log))
	var from instances
	w.SetOpen(from.open, time.Millisecond)
	t.Cleanup(run(t, w))
	v := newVolume(t)
	v.swap(hourToken(0))
	f, _ := watched(t, w, v.path())

	// What happens now is lost: the instance forgets the directory.
	if err := from.last.Load().Remove(v.dir); err != nil {
		t.Fatal(err)
	}
	token := hourToken(1)
	v.swap(token)
	for range 10 {
		from.last.Load().Errors <- fsnotify.ErrEventOverflow
	}
	changed(t, f, token)
	if got := log.count("lost events"); got != 1 {
		t.Errorf("%d lines about lost events, want 1:\n%v", got, log)
	}
	token = hourToken(2)
	v.swap(token)
	changed(t, f, token)
}

func TestWatchingLeavesNoFileDescriptors(t *testing.T) {
	v := newVolume(t)
	v.swap(hourToken(0))
	f, _ := watched(t, watch(t, &records{}), v.path())
	rotate := func(times int) {
		for range times {
			v.swap(hourToken(v.count))
		}
		last := hourToken(v.count + 1_000_000)
		v.swap(last)
		changed(t, f, last)
	}
	rotate(10)
	before := openFiles(t)
	rotate(1000)
	// The file may be open at this moment: it is read again when the events have ended.
	eventually(t, fmt.Sprintf("%d open files, as after 10 rotations", before), func() bool { return openFiles(t) <= before })
}

func TestWatchEndsWithoutATrace(t *testing.T) {
	once := func() {
		w := source.NewWatcher(nil)
		stopWatcher := run(t, w)
		v := newVolume(t)
		v.swap(hourToken(0))
		f := newFile(t, source.FileOptions{Path: v.path(), Watcher: w})
		stopFile := run(t, f)
		eventually(t, "inotify watches", func() bool { return runtime.GOOS != "linux" || f.Status().Watch == "inotify" })
		stopWatcher()
		stopFile()
	}
	once() // the first one in a process makes what the runtime keeps
	before := openFiles(t)
	for range 10 {
		once()
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d open files, %d before", after, before)
	}
}
