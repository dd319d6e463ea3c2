package source

import (
	"context"
	"path/filepath"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// subPathHint is what to do about a file that never changes.
const subPathHint = "mount the volume's directory instead of the file: a volumeMount with subPath never sees a new token"

// Run implements [refresher.Runner]: it reads the file whenever something happens in its directory
// and at intervals besides, until ctx ends. It then returns nil, and nothing else ever.
func (f *File) Run(ctx context.Context) error {
	mounts, err := readMounts()
	if err != nil {
		f.log.Warn("the mounts cannot be read: no warning of subPath, no polling of network file systems", "err", err)
	}
	var status FileStatus
	if path, err := resolve(f.path); err == nil && isMountPoint(mounts, path) {
		status.SubPath = true
		f.log.Warn("token file is mounted by subPath", "path", f.path, "hint", subPathHint)
	}
	var sub *subscription
	if f.watcher != nil && !f.onSilentMount(mounts) {
		sub = f.watcher.subscribe()
		defer sub.close()
	}

	var p pace
	for {
		// First watch, then read: what changes after the read is an event.
		watching := sub.watch(watchDirs(f.path))
		status.Watch = "poll"
		if watching {
			status.Watch = "inotify"
		}
		wait := f.round(&p, &status)
		f.status.Store(new(status))

		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-sub.hints():
			timer.Stop()
			debounce(ctx, sub.hints())
		case <-f.trouble:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// onSilentMount reports whether the file's directory is on a file system that inotify does not hear.
func (f *File) onSilentMount(mounts []mount) bool {
	dir, err := resolve(filepath.Dir(f.path))
	if err != nil || !silent(mounts, dir) {
		return false
	}
	f.log.Info("token file is polled: inotify does not hear of changes on this file system",
		"path", f.path, "fstype", fstypeOf(mounts, dir))
	return true
}

// round reads the file once, brings status up to date, and returns how long to wait for the next
// round.
func (f *File) round(p *pace, status *FileStatus) time.Duration {
	f.mu.Lock()
	sum, err := f.read()
	usable := f.lastUsable()
	rotated := f.rotations > 0
	var last reading
	if f.last != nil {
		last = *f.last
	}
	f.mu.Unlock()

	f.remarkAge(&last, rotated, status)
	if err != nil {
		wait := p.failed(sum)
		if p.flagged {
			f.flag(refresher.AsError(err), usable, status)
		}
		return wait
	}
	*p = pace{}
	if status.State != "" {
		f.log.Info("token file can be used again", "path", f.path)
		status.State = ""
	}
	return pollAfter(last.token.Expires, status.Watch == "inotify")
}

// flag puts a failure into status, and into the log if it is not there yet.
func (f *File) flag(e *refresher.Error, usable bool, status *FileStatus) {
	if status.State == e.Code {
		return
	}
	status.State = e.Code
	f.log.Warn("token file cannot be used", "path", f.path, "err", e, "hint", e.Hint, "last_good_token_usable", usable)
}

// remarkAge warns once of a token that should have been replaced by now.
func (f *File) remarkAge(last *reading, rotated bool, status *FileStatus) {
	old := !rotated && overdue(last, time.Now())
	if old && !status.NotRotated {
		f.log.Warn("subject token has not been replaced", "path", f.path, "token", last.token.Fingerprint(),
			"expires", last.token.Expires, "hint", subPathHint)
	}
	status.NotRotated = old
}
