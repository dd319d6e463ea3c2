package refresher

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// skewIgnored is the largest difference between our clock and a service's that is taken for
	// network latency and ordinary drift: the Date header counts whole seconds.
	skewIgnored = 30 * time.Second
	// maxDateRTT is the round trip beyond which a Date header says too little about now.
	maxDateRTT = 5 * time.Second
	// suspiciousJump is a change of skew that one sample alone does not prove.
	suspiciousJump = time.Hour
	// stepSize is how far wall and elapsed time may part between two checks before the wall clock
	// counts as stepped.
	stepSize = 5 * time.Second
	// bigStep is the step after which every credential is fetched anew.
	bigStep = time.Minute
)

// A Clock is the process's view of time: a wall clock, an elapsed-time clock, and what the services'
// Date headers say about the wall clock. All identities of a process share one, so that what one
// learns of the local clock's error helps the others. It is safe for concurrent use, and reading it
// takes no lock. The zero value uses Go's clocks.
type Clock struct {
	// Wall reads the wall clock. Nil means time.Now. Set it before use.
	Wall func() time.Time
	// Elapsed reads a clock that never steps and, where the system has one, counts suspended time:
	// CLOCK_BOOTTIME on Linux. Its origin does not matter. Nil means Go's monotonic clock, which
	// stands still while the machine sleeps. Set it before use.
	Elapsed func() time.Duration

	state atomic.Pointer[clockState]

	mu      sync.Mutex    // serialises changes of state, and guards:
	pending time.Duration // a jump of skew that a second sample has to confirm
	doubted bool
}

// clockState is what a Clock has learned. It is immutable.
type clockState struct {
	epoch  time.Time     // wall time of the first reading: the origin of base
	start  time.Time     // the same moment with Go's monotonic reading: the origin of the default Elapsed
	base   time.Duration // wall minus elapsed time when they were last compared
	skew   time.Duration // service time minus local time
	synced bool          // a service has told its time, and the wall clock has not gone wrong since
	jumps  int           // big steps of the wall clock so far
}

// A reading is one consistent look at a Clock.
type reading struct {
	wall    time.Time
	elapsed time.Duration
	skew    time.Duration // 0 where latency and drift explain it
	synced  bool
	jumps   int
}

// service is the services' time, as far as we know.
func (now reading) service() time.Time { return now.wall.Add(now.skew) }

// read reads both clocks. It notices a step of the wall clock, so that the first reader after it
// already knows.
func (c *Clock) read() reading {
	s := c.load()
	wall, elapsed, base := c.sample(s)
	if (base - s.base).Abs() > stepSize {
		s = c.compare()
		wall, elapsed, _ = c.sample(s)
	}
	return reading{wall: wall, elapsed: elapsed, skew: s.usableSkew(), synced: s.synced, jumps: s.jumps}
}

// compare takes the present difference of the clocks as the right one, and works out what a step
// since the last comparison means. The loops call it often enough that slow drift never adds up to
// a "step".
func (c *Clock) compare() *clockState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compareLocked()
}

func (c *Clock) compareLocked() *clockState {
	next := *c.load()
	_, _, base := c.sample(&next)
	if (base - next.base).Abs() > stepSize {
		// One who was stopped between the readings of the two clocks sees a step, too, but not twice.
		_, _, base = c.sample(&next)
	}
	if step := base - next.base; step.Abs() > stepSize {
		// If the step brought us nearer to the services' time, the clock was corrected; else it went
		// wrong, and only the next Date header can tell by how much: it is believed like the first.
		if (next.skew - step).Abs() < next.skew.Abs() {
			next.skew -= step
		} else {
			next.synced = false
		}
		if step.Abs() > bigStep {
			next.jumps++
		}
	}
	next.base = base
	c.state.Store(&next)
	return &next
}

// observe takes a service's Date header as a sample of the local clock's error.
func (c *Clock) observe(d AttemptData) {
	if d.Date.IsZero() || d.DateAt.IsZero() || d.RTT > maxDateRTT {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := *c.compareLocked()
	wall, _, _ := c.sample(&next)
	skew := d.Date.Sub(wall.Add(-time.Since(d.DateAt)))
	if next.synced && (skew-next.skew).Abs() > suspiciousJump {
		if !c.doubted || (skew-c.pending).Abs() > skewIgnored {
			c.pending, c.doubted = skew, true
			return
		}
	}
	c.doubted = false
	next.skew, next.synced = skew, true
	c.state.Store(&next)
}

// Skew is how far the services' time is ahead of the local wall clock: 0 if the difference is within
// 30 seconds or nothing is known.
func (c *Clock) Skew() time.Duration { return c.load().usableSkew() }

func (s *clockState) usableSkew() time.Duration {
	if s.skew.Abs() <= skewIgnored {
		return 0
	}
	return s.skew
}

// load returns the state, making the first one on first use.
func (c *Clock) load() *clockState {
	if s := c.state.Load(); s != nil {
		return s
	}
	first := &clockState{epoch: c.wall(), start: time.Now()}
	_, _, first.base = c.sample(first)
	c.state.CompareAndSwap(nil, first)
	return c.state.Load()
}

func (c *Clock) sample(s *clockState) (wall time.Time, elapsed, base time.Duration) {
	wall = c.wall()
	if c.Elapsed != nil {
		elapsed = c.Elapsed()
	} else {
		elapsed = time.Since(s.start)
	}
	return wall, elapsed, wall.Sub(s.epoch) - elapsed
}

func (c *Clock) wall() time.Time {
	if c.Wall != nil {
		return c.Wall().Round(0)
	}
	return time.Now().Round(0)
}
