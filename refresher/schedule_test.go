package refresher

import (
	"testing"
	"testing/quick"
	"time"
)

func TestRefreshWindow(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name            string
		lifetime, floor time.Duration
		lo, hi          time.Duration
	}{
		{"the shortest AWS session", 900 * s, 900 * s, 270 * s, 450 * s},
		{"an AWS session of half an hour", 1800 * s, 900 * s, 360 * s, 600 * s},
		{"an AWS session of an hour", 3600 * s, 900 * s, 1404 * s, 2340 * s},
		{"the longest AWS session", 43200 * s, 900 * s, 16848 * s, 28080 * s},
		{"a Google token", 3600 * s, 360 * s, 1404 * s, 2340 * s},
		{"an Entra token", 4500 * s, 360 * s, 1755 * s, 2925 * s},
		{"twice the floor and less: no jump to a refresh every minute", 720 * s, 360 * s, 144 * s, 240 * s},
		{"below the floor from the start", 720 * s, 900 * s, 216 * s, 360 * s},
		{"a minute", 60 * s, 900 * s, 18 * s, 30 * s},
		{"the shortest that is accepted", 30 * s, 900 * s, 9 * s, 15 * s},
		{"a subject token nobody refreshes early", 3600 * s, 0, 1404 * s, 2340 * s},
		{"a short subject token nobody refreshes early", 600 * s, 0, 180 * s, 300 * s},
	} {
		t.Run(c.name, func(t *testing.T) {
			lo, hi := refreshWindow(c.lifetime, c.floor)
			if lo != c.lo || hi != c.hi {
				t.Errorf("refreshWindow(%v, %v) = %v, %v, want %v, %v", c.lifetime, c.floor, lo, hi, c.lo, c.hi)
			}
		})
	}
}

// What has to hold for every lifetime that can be accepted, and every floor that can be configured.
func TestRefreshWindowInvariants(t *testing.T) {
	holds := func(life, least uint32) bool {
		lifetime := hardMinimum + time.Duration(life)*time.Millisecond%(maxLifetime-hardMinimum)
		floor := time.Duration(least) * time.Millisecond % time.Hour
		lo, hi := refreshWindow(lifetime, floor)
		third, most := lifetime/3, lifetime*65/100
		switch {
		case lo <= 0 || lo > hi || lo < hi*59/100:
			t.Logf("refreshWindow(%v, %v) = %v, %v: not a window", lifetime, floor, lo, hi)
		case hi < third || hi > most:
			t.Logf("refreshWindow(%v, %v) ends at %v, outside [%v, %v]", lifetime, floor, hi, third, most)
		case lifetime-hi < minimum(lifetime):
			t.Logf("refreshWindow(%v, %v) leaves %v at its end, too little to hand out", lifetime, floor, lifetime-hi)
		case lifetime >= 3*(floor+outage) && lifetime-hi < floor+outage:
			t.Logf("refreshWindow(%v, %v) leaves %v at its end: an outage of %v reaches the floor", lifetime, floor, lifetime-hi, outage)
		default:
			return true
		}
		return false
	}
	if err := quick.Check(holds, &quick.Config{MaxCount: 20_000}); err != nil {
		t.Error(err)
	}
}

// A little more life must not mean a lot less waiting.
func TestRefreshWindowHasNoJumps(t *testing.T) {
	for _, floor := range []time.Duration{0, 360 * time.Second, 900 * time.Second} {
		_, before := refreshWindow(hardMinimum, floor)
		for lifetime := hardMinimum; lifetime < 2*time.Hour; lifetime += time.Second {
			_, hi := refreshWindow(lifetime, floor)
			if hi < before || hi > before+time.Second {
				t.Fatalf("refreshWindow(%v, %v) ends at %v, a second of lifetime earlier at %v", lifetime, floor, hi, before)
			}
			before = hi
		}
	}
}

func TestShortLifetime(t *testing.T) {
	for _, c := range []struct {
		lifetime, floor time.Duration
		want            bool
	}{
		{15 * time.Minute, 15 * time.Minute, true},
		{30 * time.Minute, 15 * time.Minute, false},
		{time.Hour, 15 * time.Minute, false},
		{time.Minute, 0, false},
	} {
		if got := shortLifetime(c.lifetime, c.floor); got != c.want {
			t.Errorf("shortLifetime(%v, %v) = %v, want %v", c.lifetime, c.floor, got, c.want)
		}
	}
}

func TestMinimum(t *testing.T) {
	for lifetime, want := range map[time.Duration]time.Duration{
		time.Hour:        30 * time.Second,
		2 * time.Minute:  30 * time.Second,
		60 * time.Second: 15 * time.Second,
		30 * time.Second: 7500 * time.Millisecond,
	} {
		if got := minimum(lifetime); got != want {
			t.Errorf("minimum(%v) = %v, want %v", lifetime, got, want)
		}
	}
}

func TestBelievedLifetime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name      string
		expires   time.Time
		requested time.Duration
		want      time.Duration
	}{
		{"as the service says", now.Add(time.Hour), 0, time.Hour},
		{"as asked for", now.Add(time.Hour), time.Hour, time.Hour},
		{"a second more than asked for is rounding", now.Add(time.Hour + time.Second), time.Hour, time.Hour + time.Second},
		{"an hour more than asked for is a wrong Date", now.Add(2 * time.Hour), time.Hour, time.Hour + 5*time.Second},
		{"less than asked for is believed", now.Add(20 * time.Minute), time.Hour, 20 * time.Minute},
		{"a month is not", now.Add(30 * 24 * time.Hour), 0, 7 * 24 * time.Hour},
		{"the past stays the past", now.Add(-time.Hour), time.Hour, -time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := believedLifetime(c.expires, now, c.requested); got != c.want {
				t.Errorf("believedLifetime(now%+v, now, %v) = %v, want %v", c.expires.Sub(now), c.requested, got, c.want)
			}
		})
	}
}

// The point of refresh is drawn from the whole window and never from outside it.
func TestRefreshPointStaysInItsWindow(t *testing.T) {
	lo, hi := refreshWindow(time.Hour, 15*time.Minute)
	r := New(nil, Options{Floor: 15 * time.Minute, Clock: newBench().Clock})
	least, most := hi, lo
	for range 2_000 {
		now := r.clock.read()
		c := Credential{Value: Bearer{Token: "t"}, Expires: now.wall.Add(time.Hour)}
		if err := r.succeed(c, now, AttemptData{}); err != nil {
			t.Fatal(err)
		}
		s := r.current.Load()
		age := s.next - now.elapsed
		if age < lo || age > hi {
			t.Fatalf("refresh due at the age of %v, outside [%v, %v]", age, lo, hi)
		}
		least, most = min(least, age), max(most, age)
	}
	if slack := (hi - lo) / 50; least > lo+slack || most < hi-slack {
		t.Errorf("2000 refreshes between %v and %v do not use the window [%v, %v]", least, most, lo, hi)
	}
}
