package file

import (
	"math"
	"time"
)

// A life is the time in which a credential may be in a file, on two clocks: the wall clock may be
// stepped, and Go's monotonic clock stands still while the machine sleeps. Whichever says "over" first
// is believed.
type life struct {
	expires  time.Time // wall clock
	deadline time.Time // with a monotonic reading
	endless  bool      // what is in the file is no credential
}

func lifeUntil(expires, now time.Time) life {
	expires = expires.Round(0)
	return life{expires: expires, deadline: now.Add(expires.Sub(now))}
}

func (l life) left(now time.Time) time.Duration {
	if l.endless {
		return math.MaxInt64
	}
	return min(l.expires.Sub(now), l.deadline.Sub(now))
}
