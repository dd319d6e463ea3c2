package source

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"time"
)

const (
	failingPoll  = time.Second      // there is no token, or none that can be used
	pollingPoll  = 5 * time.Second  // without inotify
	watchingPoll = 60 * time.Second // with inotify: the net below it

	// expiryMargin before its end a token counts as expired: too late to be sent anywhere.
	expiryMargin = 10 * time.Second

	// One swap by the kubelet makes five events.
	debounceQuiet = 100 * time.Millisecond
	debounceMax   = time.Second
)

// rereads are the waits after a file that held no token was read: somebody may just be writing it, and
// a new projected volume may show the link before what it leads to.
var rereads = [...]time.Duration{
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
}

// A pace counts the reads of a file that failed in a row. The zero pace is that of a good file.
type pace struct {
	tries   int               // how many of rereads are used up
	sum     [sha256.Size]byte // of what was last read
	flagged bool              // all of rereads passed and there still was no token
}

// failed counts a read that gave no token, and returns how long to wait for the next one.
func (p *pace) failed(sum [sha256.Size]byte) time.Duration {
	if p.flagged && sum != p.sum {
		p.tries = 0 // somebody is writing after all
	}
	p.sum = sum
	if p.tries < len(rereads) {
		p.tries++
		return rereads[p.tries-1]
	}
	p.flagged = true
	return jitter(failingPoll)
}

// pollAfter is how long to wait after a good read of a token that expires then; zero if it does not
// say.
func pollAfter(expires time.Time, watching bool) time.Duration {
	usual := pollingPoll
	if watching {
		usual = watchingPoll
	}
	if expires.IsZero() {
		return jitter(usual)
	}
	usable := time.Until(expires) - expiryMargin
	if usable <= 0 {
		return jitter(failingPoll)
	}
	return min(jitter(usual), usable)
}

// jitter is d ± 20 %, so that the Pods of a node do not stay in step.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// debounce returns when there was no hint for debounceQuiet, but after debounceMax at the latest.
func debounce(ctx context.Context, hints <-chan struct{}) {
	latest := time.NewTimer(debounceMax)
	defer latest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-latest.C:
			return
		case <-time.After(debounceQuiet):
			return
		case <-hints:
		}
	}
}
