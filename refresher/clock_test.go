package refresher

import (
	"testing"
	"testing/synctest"
	"time"
)

// A bench is a Clock whose two clocks a test sets as it likes, and a service whose time is right.
type bench struct {
	*Clock
	wall    time.Time
	elapsed time.Duration
	service time.Time
}

func newBench() *bench {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b := &bench{wall: noon, service: noon, elapsed: -5 * time.Hour} // the origin does not matter
	b.Clock = &Clock{
		Wall:    func() time.Time { return b.wall },
		Elapsed: func() time.Duration { return b.elapsed },
	}
	b.read()
	return b
}

// pass lets time go by on all clocks.
func (b *bench) pass(d time.Duration) {
	b.wall, b.elapsed, b.service = b.wall.Add(d), b.elapsed+d, b.service.Add(d)
}

// step sets the wall clock.
func (b *bench) step(d time.Duration) { b.wall = b.wall.Add(d) }

// hear takes in a Date header that is wrong by the given time.
func (b *bench) hear(wrong time.Duration) {
	b.observe(AttemptData{Date: b.service.Add(wrong), DateAt: time.Now()})
}

func TestClockLearnsItsError(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(b *bench)
		want  time.Duration
	}{
		{"nothing heard", func(*bench) {}, 0},
		{"the clock is right", func(b *bench) { b.hear(0) }, 0},
		{"half a minute is latency and drift", func(b *bench) { b.hear(30 * time.Second) }, 0},
		{"a little more is an error", func(b *bench) { b.hear(31 * time.Second) }, 31 * time.Second},
		{"the first sample is believed, however large", func(b *bench) { b.hear(50 * time.Hour) }, 50 * time.Hour},
		{"a slow clock", func(b *bench) { b.step(-2 * time.Hour); b.hear(0) }, 2 * time.Hour},
		{"a fast clock", func(b *bench) { b.step(2 * time.Hour); b.hear(0) }, -2 * time.Hour},
		{"a small change is believed", func(b *bench) { b.hear(time.Minute); b.hear(50 * time.Minute) }, 50 * time.Minute},
		{"a large change needs a second sample", func(b *bench) { b.hear(0); b.hear(2 * time.Hour) }, 0},
		{"which has come", func(b *bench) { b.hear(0); b.hear(2 * time.Hour); b.hear(2 * time.Hour) }, 2 * time.Hour},
		{"and must say the same", func(b *bench) { b.hear(0); b.hear(2 * time.Hour); b.hear(3 * time.Hour) }, 0},
		{"a good sample in between clears the doubt", func(b *bench) { b.hear(0); b.hear(2 * time.Hour); b.hear(0); b.hear(2 * time.Hour) }, 0},
		{"a slow answer tells nothing", func(b *bench) {
			b.observe(AttemptData{Date: b.service.Add(time.Hour), DateAt: time.Now(), RTT: 6 * time.Second})
		}, 0},
		{"an answer without Date tells nothing", func(b *bench) { b.observe(AttemptData{Status: 500}) }, 0},
		{"a Date without a moment tells nothing", func(b *bench) { b.observe(AttemptData{Date: b.service.Add(time.Hour)}) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				c.story(b)
				if got := b.Skew(); got != c.want {
					t.Errorf("Skew() = %v, want %v", got, c.want)
				}
			})
		})
	}
}

// What happened between the answer's arrival and its evaluation is not skew.
func TestClockCountsFromTheArrivalOfTheDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Clock{}
		c.read()
		answer := AttemptData{Date: time.Now().Add(time.Minute), DateAt: time.Now()}
		time.Sleep(45 * time.Second)
		c.observe(answer)
		if got := c.Skew(); got != time.Minute {
			t.Errorf("Skew() = %v, want 1m", got)
		}
	})
}

func TestClockSteps(t *testing.T) {
	for _, c := range []struct {
		name   string
		skew   time.Duration // learned before the step
		step   time.Duration
		want   time.Duration
		synced bool // whether what was learned still holds
		jumps  int
	}{
		{"corrected forwards", time.Hour, time.Hour, 0, true, 1},
		{"corrected backwards", -time.Hour, -time.Hour, 0, true, 1},
		{"corrected in part", 2 * time.Hour, time.Hour, time.Hour, true, 1},
		{"a right clock goes wrong, forwards", 0, time.Hour, 0, false, 1},
		{"a right clock goes wrong, backwards", 0, -time.Hour, 0, false, 1},
		{"a wrong clock gets worse", time.Hour, -time.Hour, time.Hour, false, 1},
		{"a small step is no reason to refresh", 0, 20 * time.Second, 0, false, 0},
		{"four seconds are no step", 0, 4 * time.Second, 0, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				b.hear(c.skew)
				b.pass(time.Hour)
				b.step(c.step)
				now := b.read()
				if now.skew != c.want || now.synced != c.synced || now.jumps != c.jumps {
					t.Errorf("after a step of %v: skew %v, synced %v, %d jumps; want %v, %v, %d",
						c.step, now.skew, now.synced, now.jumps, c.want, c.synced, c.jumps)
				}
			})
		})
	}
}

// The step itself is reason enough to believe the Date that shows it.
func TestClockBelievesTheFirstDateAfterAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.hear(0)
		b.pass(time.Minute)
		b.step(3 * time.Hour)
		b.hear(0)
		if got := b.Skew(); got != -3*time.Hour {
			t.Errorf("Skew() = %v, want -3h", got)
		}
	})
}

func TestSlowDriftIsNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.hear(0)
		for range 24 * 60 * 4 { // a day of beats, 100 ms of drift in each
			b.pass(15 * time.Second)
			b.step(100 * time.Millisecond)
			b.compare()
			if now := b.read(); now.jumps != 0 || !now.synced {
				t.Fatalf("drift of %v: %d jumps, synced %v", b.wall.Sub(b.service), now.jumps, now.synced)
			}
		}
	})
}

// A suspended machine: CLOCK_BOOTTIME and the wall clock have moved on together.
func TestSuspendIsNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.hear(0)
		before := b.read()
		b.pass(9 * time.Hour)
		now := b.read()
		if now.jumps != 0 || !now.synced || now.elapsed-before.elapsed != 9*time.Hour {
			t.Errorf("after 9h of sleep: %v elapsed, %d jumps, synced %v", now.elapsed-before.elapsed, now.jumps, now.synced)
		}
	})
}

// A process may be stopped anywhere, also between the readings of the two clocks.
func TestStopBetweenTheReadingsIsNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.hear(0)
		stop := 9 * time.Hour
		b.Elapsed = func() time.Duration {
			b.pass(stop)
			stop = 0
			return b.elapsed
		}
		b.compare()
		if now := b.read(); now.jumps != 0 || !now.synced {
			t.Errorf("after a stop of 9h: %d jumps, synced %v, want none and still synced", now.jumps, now.synced)
		}
	})
}

// Where the elapsed clock stands still meanwhile, the wall clock seems to have stepped.
func TestSuspendWithoutBootTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.hear(0)
		stood := b.elapsed
		b.pass(9 * time.Hour)
		b.elapsed = stood
		now := b.read()
		if now.jumps != 1 || !now.service().Equal(b.service) {
			t.Errorf("after 9h of sleep: %d jumps, service time %v, want 1, %v", now.jumps, now.service(), b.service)
		}
	})
}

func TestZeroClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		first := c.read()
		time.Sleep(90 * time.Minute)
		now := c.read()
		if now.elapsed-first.elapsed != 90*time.Minute || now.wall.Sub(first.wall) != 90*time.Minute || now.jumps != 0 {
			t.Errorf("90m later: %v elapsed, %v on the wall, %d jumps", now.elapsed-first.elapsed, now.wall.Sub(first.wall), now.jumps)
		}
		if !now.service().Equal(time.Now()) {
			t.Errorf("service() = %v, want %v", now.service(), time.Now())
		}
	})
}
