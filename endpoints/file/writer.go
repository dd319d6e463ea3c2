// Package file keeps a credential in a file for programs that read nothing else: one identity, one
// target, one format, one path.
//
// A reader of the file sees a whole credential or no file, never a part of one, an empty file or, as
// far as wisp can help it, one that has expired. What goes wrong with the file never ends wisp and
// never touches its other outlets: the old file stays until it expires, and the Writer tries again.
//
// Programs in containers need a mount of the directory, not of the file (subPath): such a mount never
// sees the file replaced.
package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	// interval is the time, ±20 %, between two looks at the file. It is also the delay of a retry.
	interval = 30 * time.Second
	// rewatch is how soon a Writer asks for a target again that it was refused.
	rewatch = time.Second
)

// A Watcher yields each new credential for t, and each failure to get one; the sequence ends with
// ctx. [*refresher.Identity] is one.
type Watcher interface {
	Watch(ctx context.Context, t refresher.Target) iter.Seq2[refresher.Credential, error]
}

// A Writer writes each new credential to a file, and removes the file when its credential expires
// without a successor. [Writer.Written] and [Writer.Err] are safe for concurrent use.
type Writer struct {
	options Options
	watcher Watcher
	name    string // of the file in its directory
	log     *slog.Logger

	written atomic.Bool
	failure atomic.Pointer[error] // nil, or the last failure

	// What follows belongs to Run's goroutine.
	directory string // the file's directory, without links; empty until it was seen
	swept     bool   // leftovers have been looked for
	wanted    []byte // content that the file should have; nil before the first credential
	life      life   // of wanted
	unfit     error  // why the newest credential could not be encoded
	has       []byte // content that was written
	wrote     fs.FileInfo
}

// New returns a Writer that does nothing until [Writer.Run]. It returns an error for options that
// cannot work and for a directory that is there and refused; anything else about the file system may
// still change, and is Run's to report.
func New(o Options, watcher Watcher) (*Writer, error) {
	if err := refresher.JoinFieldErrors(o.Check()); err != nil {
		return nil, err
	}
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("path", o.Path)
	w := &Writer{options: o, watcher: watcher, name: filepath.Base(o.Path), log: log}
	dir, err := w.open()
	if errors.Is(err, errInsecure) {
		return nil, err
	}
	if err == nil {
		_ = dir.Close()
	}
	return w, nil
}

// Written reports whether a credential has been written since the start.
func (w *Writer) Written() bool { return w.written.Load() }

// Err says why the file is not as it should be; nil if it is, or if there is no credential for it.
// Failures to get a credential are the identity's.
func (w *Writer) Err() error {
	if failure := w.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// Run keeps the file up to date until ctx ends, and then removes it if it should be. It must be called
// once. It returns nil: nothing that happens to a file is a reason to end.
func (w *Writer) Run(ctx context.Context) error {
	if w.options.mode()&0o004 != 0 && !w.options.Lasting {
		w.log.Warn("every user of this machine or Pod may read the credential", "mode", w.options.mode())
	}
	if w.options.Lasting {
		w.take(refresher.Credential{}, time.Now()) // clients that look once look early
	}
	arrivals := make(chan refresher.Credential)
	var following sync.WaitGroup
	following.Go(func() { w.follow(ctx, arrivals) })
	defer following.Wait()
	for {
		w.report(cmp.Or(w.settle(), w.unfit))
		timer := time.NewTimer(w.pause(time.Now()))
		select {
		case credential := <-arrivals:
			w.take(credential, time.Now())
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			w.cleanUp()
			return nil
		}
		timer.Stop()
	}
}

// follow hands on each credential that there is.
func (w *Writer) follow(ctx context.Context, arrivals chan<- refresher.Credential) {
	var told string
	for {
		var last error
		for credential, err := range w.watcher.Watch(ctx, w.options.Target) {
			if last = err; err != nil {
				continue // the identity's to report
			}
			select {
			case arrivals <- credential:
			case <-ctx.Done():
				return
			}
		}
		// It ends early if the identity does not run yet, or has no room for the target.
		if ctx.Err() == nil && last != nil && last.Error() != told {
			told = last.Error()
			w.log.Warn("the identity gives no credential for this file", "target", w.options.Target.String(), "err", last)
		}
		select {
		case <-time.After(rewatch):
		case <-ctx.Done():
			return
		}
	}
}

// take makes a credential the one that the file should hold.
func (w *Writer) take(c refresher.Credential, now time.Time) {
	content, err := w.options.Encode(c)
	if err == nil && len(content) == 0 {
		err = errors.New("the credential has no content in this format")
	}
	if err != nil {
		w.unfit = fmt.Errorf("%s: %w", w.options.Path, err)
		return
	}
	w.wanted, w.life, w.unfit = content, lifeUntil(c.Expires, now), nil
	w.life.endless = w.options.Lasting
}

// settle makes the file what it should be now.
func (w *Writer) settle() (err error) {
	dir, err := w.open()
	if err != nil {
		return err
	}
	defer dir.Close()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", w.options.Path, err)
			w.swept = false // a write that failed may have left something
		}
	}()
	if !w.swept {
		// Not worth failing for: in a directory with the sticky bit others may have made such a name.
		if err := sweep(dir, w.name); err != nil {
			w.log.Warn("temporary files of a run before may remain", "err", err)
		}
		w.swept = true
	}
	if w.wanted == nil {
		return nil // whatever a Writer before this one has left may still be good
	}
	found, err := inspect(dir, w.name)
	if err != nil {
		return err
	}
	if w.life.left(time.Now()) <= 0 {
		return w.remove(dir, found)
	}
	if untouched(w.wrote, found) && bytes.Equal(w.has, w.wanted) {
		return nil
	}
	wrote, err := replace(dir, w.name, w.wanted, permissions{w.options.mode(), w.options.Group})
	if err != nil {
		return err
	}
	w.wrote, w.has = wrote, w.wanted
	w.written.Store(true)
	if w.options.Lasting {
		w.log.Info("file written")
	} else {
		w.log.Info("credential file written", "expires", w.life.expires)
	}
	return nil
}

// remove takes away a file whose credential is over. One that a Writer before this one has left is
// older, so it is over, too.
func (w *Writer) remove(dir *os.Root, found fs.FileInfo) error {
	if found == nil {
		return nil
	}
	if err := dir.Remove(w.name); err != nil {
		return fmt.Errorf("remove the expired credential: %w", cause(err))
	}
	w.wrote, w.has = nil, nil
	w.log.Warn("credential expired and there is no newer one: file removed", "expires", w.life.expires)
	return flush(dir)
}

// cleanUp removes the file at the end, if it is still the one that was written.
func (w *Writer) cleanUp() {
	if w.wrote == nil || w.options.Cleanup == CleanupNever {
		return
	}
	dir, err := w.open()
	if err != nil {
		w.log.Warn("credential file not removed", "err", err)
		return
	}
	defer dir.Close()
	if w.options.Cleanup == "" && !inMemory(dir) {
		return
	}
	found, err := inspect(dir, w.name)
	if err == nil && untouched(w.wrote, found) {
		err = dir.Remove(w.name)
	}
	if err != nil {
		w.log.Warn("credential file not removed", "err", cause(err))
	}
}

// open opens the file's directory, which is looked up each time: volumes are mounted late, and
// directories deleted and made anew. But where it really is, behind links, is found out once; whoever
// puts a link in its place later leads nowhere.
func (w *Writer) open() (*os.Root, error) {
	if w.directory == "" {
		directory, err := resolve(filepath.Dir(w.options.Path))
		if err != nil {
			return nil, err
		}
		w.directory = directory
	}
	dir, err := openDirectory(w.directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the directory %s does not exist any more", w.directory)
	}
	if err != nil {
		return nil, err
	}
	if !w.options.AllowInsecureParent {
		if err := secure(dir); err != nil {
			_ = dir.Close()
			return nil, fmt.Errorf("%s: %w", w.options.Path, err)
		}
	}
	return dir, nil
}

// pause is the time until the next look at the file.
func (w *Writer) pause(now time.Time) time.Duration {
	pause := interval*4/5 + rand.N(interval*2/5)
	if left := w.life.left(now); w.wanted != nil && left > 0 {
		pause = min(pause, left)
	}
	return pause
}

// report publishes how settling went, and logs what is new about it.
func (w *Writer) report(err error) {
	before := w.Err()
	if err == nil {
		w.failure.Store(nil)
		return
	}
	w.failure.Store(&err)
	if before == nil || before.Error() != err.Error() {
		w.log.Warn("credential file cannot be kept up to date; it stays as it is, and wisp tries again", "err", err)
	}
}
