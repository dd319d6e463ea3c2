package refresher

import (
	"container/heap"
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A fleet is many Refreshers that talk to one service. They make their attempts one after another,
// each when it is due, and time jumps from one to the next: the engine's own attempt, schedule and
// retry run, only the waiting is left out.
type fleet struct {
	now     time.Duration
	pods    []*pod
	serves  func() error // what the service answers now
	clock   *Clock
	onRenew func(*pod) // before each attempt that succeeds
}

type pod struct {
	*Refresher
	attempts int
	got      time.Duration // when the last credential came; negative if none did
}

func newFleet(n int, o Options, within time.Duration) *fleet {
	epoch := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := &fleet{serves: func() error { return nil }, onRenew: func(*pod) {}}
	f.clock = &Clock{
		Wall:    func() time.Time { return epoch.Add(f.now) },
		Elapsed: func() time.Duration { return f.now },
	}
	o.Clock = f.clock
	for range n {
		p := &pod{got: -1}
		p.Refresher = New(func(context.Context) (Credential, error) {
			p.attempts++
			if err := f.serves(); err != nil {
				return Credential{}, err
			}
			f.onRenew(p)
			p.got = f.now
			return Credential{Value: Bearer{Token: "t"}, Expires: epoch.Add(f.now + time.Hour)}, nil
		}, o)
		p.current.Load().next = rand.N(within)
		f.pods = append(f.pods, p)
	}
	heap.Init(f)
	return f
}

// run lets time go by, and counts the attempts of each second of it.
func (f *fleet) run(ctx context.Context, d time.Duration) (perSecond []int) {
	start := f.now
	perSecond = make([]int, int(d/time.Second))
	for {
		next := f.pods[0]
		at := next.current.Load().next
		if at >= start+d {
			f.now = start + d
			return perSecond
		}
		f.now = at
		perSecond[min(int((at-start)/time.Second), len(perSecond)-1)]++
		next.attempt(ctx)
		heap.Fix(f, 0)
	}
}

func (f *fleet) Len() int { return len(f.pods) }
func (f *fleet) Less(a, b int) bool {
	return f.pods[a].current.Load().next < f.pods[b].current.Load().next
}
func (f *fleet) Swap(a, b int) { f.pods[a], f.pods[b] = f.pods[b], f.pods[a] }
func (f *fleet) Push(any)      {} // Pods neither come nor go
func (f *fleet) Pop() any      { return nil }

// bucket is a service that takes so many calls a second, and throttles the others.
func (f *fleet) bucket(perSecond float64) func() error {
	tokens, filled := perSecond, f.now
	return func() error {
		tokens = min(perSecond, tokens+perSecond*(f.now-filled).Seconds())
		filled = f.now
		if tokens < 1 {
			return &Error{Class: Throttled}
		}
		tokens--
		return nil
	}
}

func busiest(perSecond []int) int {
	most := 0
	for _, n := range perSecond {
		most = max(most, n)
	}
	return most
}

// A fleet that was started together must not stay together.
func TestFleetSpreadsOut(t *testing.T) {
	const n, floor = 10_000, 15 * time.Minute
	mean := float64(n) / (0.52 * 3600)
	var first, sixth int
	for range 3 { // one second in 200,000 is a little busier: luck, not a pattern
		f := newFleet(n, Options{Floor: floor}, 30*time.Second)
		f.onRenew = func(p *pod) {
			if left := p.current.Load().left(f.clock.read()); p.got >= 0 && left < floor {
				t.Errorf("renewed with %v left", left)
			}
		}
		f.run(t.Context(), time.Minute)
		first = busiest(f.run(t.Context(), time.Hour-time.Minute))
		f.run(t.Context(), 4*time.Hour)
		sixth = busiest(f.run(t.Context(), time.Hour))
		t.Logf("busiest second: %d in the first cycle, %d in the sixth hour; mean %.1f", first, sixth, mean)
		if float64(first) <= 6*mean && float64(sixth) <= 3.5*mean {
			return
		}
	}
	t.Errorf("busiest second: %d in the first cycle, %d in the sixth hour, want at most %.0f and %.0f", first, sixth, 6*mean, 3.5*mean)
}

// Ten thousand Pods in five seconds against a service that takes a hundred calls a second.
func TestFleetIsThrottled(t *testing.T) {
	const n, capacity = 10_000, 100
	f := newFleet(n, Options{Floor: 15 * time.Minute}, 5*time.Second)
	f.serves = f.bucket(capacity)
	f.run(t.Context(), 20*time.Minute)
	var attempts int
	took := make([]int, 20*60)
	for _, p := range f.pods {
		if p.got < 0 {
			t.Fatal("a Pod has no credential after 20m")
		}
		attempts += p.attempts
		took[int(p.got/time.Second)]++
	}
	var p99, last int
	for second, so := 0, 0; second < len(took); second++ {
		if so < n*99/100 {
			p99 = second
		}
		if so += took[second]; took[second] > 0 {
			last = second
		}
	}
	t.Logf("%.1f calls per Pod, 99 %% done after %ds, all after %ds", float64(attempts)/n, p99, last)
	if attempts > 8*n || p99 > 125 || last > 160 {
		t.Errorf("%.1f calls per Pod, 99 %% done after %ds, all after %ds; want at most 8, 125s, 160s", float64(attempts)/n, p99, last)
	}
}

// An outage at a random time of everybody's cycle.
func TestFleetOutlivesOutages(t *testing.T) {
	const n, capacity, floor = 1_000, 50, 15 * time.Minute
	// A twentieth of the Pods each second, and what luck adds to that in an hour of seconds.
	most := n/20 + 6*int(math.Sqrt(n/20))
	for _, c := range []struct {
		lasts time.Duration
		least time.Duration // remaining life that no Pod falls below
	}{
		{5 * time.Minute, floor},
		{15 * time.Minute, hardMinimum},
		{20 * time.Minute, 0},
		{60 * time.Minute, -time.Hour},
	} {
		t.Run(c.lasts.String(), func(t *testing.T) {
			f := newFleet(n, Options{Floor: floor}, 30*time.Minute)
			f.run(t.Context(), 3*time.Hour)
			least := time.Hour
			f.onRenew = func(p *pod) { least = min(least, p.current.Load().left(f.clock.read())) }
			f.serves = func() error { return &Error{Class: Transient} }
			busy := busiest(f.run(t.Context(), c.lasts))
			f.serves = f.bucket(capacity)
			f.run(t.Context(), 130*time.Second)
			for _, p := range f.pods {
				if p.current.Load().failure != nil {
					t.Errorf("a Pod has not recovered: %+v", p.Status())
				}
			}
			f.run(t.Context(), time.Hour)
			t.Logf("least life left %v, busiest second %d attempts", least, busy)
			if least < c.least {
				t.Errorf("a Pod was down to %v, want %v", least, c.least)
			}
			if busy > most {
				t.Errorf("busiest second: %d attempts, want at most %d", busy, most)
			}
		})
	}
}

// All token files of a node are rotated at once.
func TestFleetIgnoresRotations(t *testing.T) {
	f := newFleet(110, Options{Floor: 15 * time.Minute}, time.Second)
	f.run(t.Context(), 10*time.Minute)
	for _, p := range f.pods {
		before := p.current.Load().next
		p.Wake()
		p.adopt(f.clock.read())
		if next := p.current.Load().next; next != before || p.attempts != 1 {
			t.Errorf("next exchange at %v instead of %v", next, before)
		}
	}
}
