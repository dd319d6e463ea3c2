package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A Watcher tells [File] sources that something happened in a directory. All files of a process
// share one, because inotify instances are scarce: by default a user has 128 on a node, and without
// user namespaces all sidecars of a node are one user. So inotify may be missing at any time; then
// files poll, and the Watcher tries again every five minutes.
//
// It only ever hints. What changed is found by reading the file again, so an event too many is
// cheap, and one too few is made good by the next poll. It is safe for concurrent use.
type Watcher struct {
	log   *slog.Logger
	open  func() (*fsnotify.Watcher, error)
	retry time.Duration
	first chan struct{} // closed by the first subscription
	begun sync.Once

	// changes makes changes of the watched set follow one another. It is not taken while events are
	// received: fsnotify may hold its own lock, which a change waits for, until its error is taken.
	changes    sync.Mutex
	users      map[string]int  // directory -> subscriptions that want it
	complained map[string]bool // directories whose trouble is in the log

	// mu guards what follows; it is not held over calls of fsnotify.
	mu   sync.Mutex
	live *fsnotify.Watcher // nil while inotify is not to be had
	subs map[*subscription]struct{}
}

// inotifyRetry is how long files poll before inotify is tried again.
const inotifyRetry = 5 * time.Minute

// NewWatcher makes a Watcher that does nothing until it runs. A nil log discards.
func NewWatcher(log *slog.Logger) *Watcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{
		log:        log,
		open:       openInotify,
		retry:      inotifyRetry,
		first:      make(chan struct{}),
		users:      make(map[string]int),
		complained: make(map[string]bool),
		subs:       make(map[*subscription]struct{}),
	}
}

// openInotify is fsnotify.NewWatcher on Linux. Elsewhere files poll: fsnotify's kqueue opens every
// file of a watched directory, and that directory may be / or /var.
func openInotify() (*fsnotify.Watcher, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("there is no inotify on %s", runtime.GOOS)
	}
	return fsnotify.NewWatcher()
}

// Run watches until ctx ends, and then returns nil: trouble with inotify is logged and lived with. As long
// as no file wants to be watched it takes no inotify instance.
func (w *Watcher) Run(ctx context.Context) error {
	select {
	case <-w.first:
	case <-ctx.Done():
		return nil
	}
	complained := false
	for {
		lasted, err := w.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if lasted {
			complained = false
		}
		if !complained {
			w.log.Warn("inotify is not available: token files are polled", "err", err, "retry_in", w.retry)
			complained = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(w.retry):
		}
	}
}

// watch runs one inotify instance until ctx ends or the instance fails. It reports whether there
// was an instance at all.
func (w *Watcher) watch(ctx context.Context) (opened bool, err error) {
	instance, err := w.open()
	if err != nil {
		return false, err
	}
	w.use(instance)
	defer w.drop(instance)

	overflowed := false
	for {
		select {
		case <-ctx.Done():
			return true, nil
		case _, ok := <-instance.Events:
			if !ok {
				return true, fsnotify.ErrClosed
			}
		case err, ok := <-instance.Errors:
			if !ok {
				return true, fsnotify.ErrClosed
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return true, err
			}
			if !overflowed {
				w.log.Warn("inotify lost events: token files are read again", "err", err)
				overflowed = true
			}
		}
		w.wake()
	}
}

// use makes instance the one that directories are added to, and lets everybody add theirs.
func (w *Watcher) use(instance *fsnotify.Watcher) {
	w.mu.Lock()
	w.live = instance
	w.mu.Unlock()
	w.wake()
}

// drop closes the instance in use. A subscription must not be using it meanwhile: fsnotify would call
// the kernel with the number of a closed descriptor.
func (w *Watcher) drop(instance *fsnotify.Watcher) {
	w.use(nil)
	// While nobody takes its errors, fsnotify may hold the lock that Add and Close wait for.
	go func() {
		for range instance.Errors {
		}
	}()
	w.changes.Lock()
	defer w.changes.Unlock()
	_ = instance.Close()
}

// wake hints at a change to every subscription. It does not look at the event's name: fsnotify
// knows a directory that is mounted twice by one of its names only, and does not report the end of a
// directory whose parent it watches too.
func (w *Watcher) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.subs {
		notify(s.events)
	}
}

// instance returns the present fsnotify watcher or nil.
func (w *Watcher) instance() *fsnotify.Watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.live
}

// add watches one directory. It logs the first failure of a streak, unless the directory is just not
// there: reading the file says that better. Call it with changes held.
func (w *Watcher) add(instance *fsnotify.Watcher, dir string) bool {
	err := instance.Add(dir)
	switch {
	case err == nil:
		delete(w.complained, dir)
		return true
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fsnotify.ErrClosed):
		return false
	}
	if !w.complained[dir] {
		w.complained[dir] = true
		w.log.Warn("inotify cannot watch a directory: its token files are polled", "dir", dir, "err", err)
	}
	return false
}

// A subscription is one file's interest in some directories. It has one user, who calls its methods
// one at a time. A nil subscription watches nothing.
type subscription struct {
	watcher *Watcher
	events  chan struct{} // level-triggered: at most one hint is pending
	dirs    []string      // guarded by watcher.changes
}

func (w *Watcher) subscribe() *subscription {
	s := &subscription{watcher: w, events: make(chan struct{}, 1)}
	w.begun.Do(func() { close(w.first) })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subs[s] = struct{}{}
	return s
}

// hints returns the channel of hints.
func (s *subscription) hints() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.events
}

// watch makes dirs the directories to watch and reports whether all of them are now. Call it
// before every read of the file, even with the same dirs: a directory that was removed, made again
// or covered by another mount is a new one to the kernel.
func (s *subscription) watch(dirs []string) bool {
	if s == nil {
		return false
	}
	w := s.watcher
	w.changes.Lock()
	defer w.changes.Unlock()
	instance := w.instance()
	s.exchange(dirs, instance)
	if instance == nil {
		return false
	}
	watching := true
	for _, dir := range dirs {
		watching = w.add(instance, dir) && watching
	}
	return watching
}

// exchange counts dirs in and the former directories out, and drops what nobody wants any more.
func (s *subscription) exchange(dirs []string, instance *fsnotify.Watcher) {
	w := s.watcher
	for _, dir := range dirs {
		w.users[dir]++
	}
	for _, dir := range s.dirs {
		if w.users[dir]--; w.users[dir] > 0 {
			continue
		}
		delete(w.users, dir)
		delete(w.complained, dir)
		if instance != nil {
			_ = instance.Remove(dir) // fails if the directory has gone already
		}
	}
	s.dirs = slices.Clone(dirs)
}

// close ends the subscription.
func (s *subscription) close() {
	if s == nil {
		return
	}
	s.watch(nil)
	w := s.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.subs, s)
}
