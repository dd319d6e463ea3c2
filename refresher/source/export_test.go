package source

import (
	"time"

	"github.com/fsnotify/fsnotify"
)

// SetOpen replaces how w gets hold of inotify, and how long it waits when that failed.
func (w *Watcher) SetOpen(open func() (*fsnotify.Watcher, error), retry time.Duration) {
	w.open, w.retry = open, retry
}
