package refresher

import (
	"testing"
	"time"
)

// Situations that call for each profile.
var (
	coldTransient  = plight{class: Transient, sinceStart: 10 * time.Second}
	lateTransient  = plight{class: Transient, sinceStart: 2 * time.Minute, failingSince: 2 * time.Minute}
	warmTransient  = plight{class: Transient, hadOne: true, left: 40 * time.Minute, floor: 15 * time.Minute, sinceStart: time.Hour}
	coldThrottled  = plight{class: Throttled, sinceStart: 10 * time.Second}
	coldDenied     = plight{class: Denied, sinceStart: 10 * time.Second}
	belowFloor     = plight{class: Transient, hadOne: true, left: 10 * time.Minute, floor: 15 * time.Minute, sinceStart: time.Hour}
	expired        = plight{class: Transient, hadOne: true, sinceStart: time.Hour}
	settlingFresh  = plight{class: Settling, sinceStart: time.Minute, failingSince: time.Minute}
	settlingForAge = plight{class: Settling, sinceStart: time.Hour, failingSince: settlePeriod}
)

func with(p plight, change func(*plight)) plight {
	change(&p)
	return p
}

func TestChoiceOfProfile(t *testing.T) {
	warmed := func(class Class) plight { return with(warmTransient, func(p *plight) { p.class = class }) }
	for _, c := range []struct {
		name string
		p    plight
		want profile
	}{
		{"cold start, network not up yet", coldTransient, fast},
		{"the last moment of the first minute", with(coldTransient, func(p *plight) { p.sinceStart = time.Minute - 1 }), fast},
		{"still cold after a minute", lateTransient, slow},
		{"expired, soon after the start", with(expired, func(p *plight) { p.sinceStart = 10 * time.Second }), slow},
		{"expired, long after the start", expired, slow},
		{"good, but below the floor", belowFloor, slow},
		{"good: nobody has to hurry", warmTransient, warm},
		{"exactly at the floor is still good", with(warmTransient, func(p *plight) { p.left = p.floor }), warm},
		{"nobody minds a floor of zero", plight{class: Transient, hadOne: true, left: time.Second}, warm},
		{"no credential and a floor of zero", plight{class: Transient, hadOne: true}, slow},
		{"throttled, cold", coldThrottled, throttle},
		{"throttled, with a good credential", warmed(Throttled), throttle},
		{"token refused, cold", plight{class: SubjectToken}, slow},
		{"token refused, with a good credential", warmed(SubjectToken), warm},
		{"new trust, not visible yet", settlingFresh, slow},
		{"new trust, almost ten minutes", with(settlingForAge, func(p *plight) { p.failingSince = settlePeriod - 1 }), slow},
		{"a trust that is not there after ten minutes", settlingForAge, denied},
		{"a trust that was there before, with a good credential", with(warmed(Settling), func(p *plight) { p.failingSince = time.Hour }), warm},
		{"denied, cold", coldDenied, denied},
		{"denied, with a good credential", warmed(Denied), denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.p.profile(); got != c.want {
				t.Errorf("%+v.profile() = %v, want %v", c.p, got, c.want)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	for _, c := range []struct {
		name string
		p    plight
		want Class
	}{
		{"settling", settlingFresh, Settling},
		{"settled for the worse", settlingForAge, Denied},
		{"not while the credential is good", with(settlingForAge, func(p *plight) { p.left = time.Hour }), Settling},
		{"below the floor", with(settlingForAge, func(p *plight) { p.left, p.floor = time.Minute, time.Hour }), Denied},
		{"other classes do not age", with(lateTransient, func(p *plight) { p.failingSince = time.Hour }), Transient},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.p.settled(); got != c.want {
				t.Errorf("%+v.settled() = %v, want %v", c.p, got, c.want)
			}
		})
	}
}

// Each delay of a profile lies in its envelope, and over many draws fills it.
func TestEnvelopes(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for _, c := range []struct {
		name   string
		p      plight
		from   time.Duration // the least delay, where it does not start at zero
		limits []time.Duration
	}{
		{"fast", coldTransient, 0, []time.Duration{250 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5 * s, 5 * s, 5 * s}},
		{"slow", lateTransient, 0, []time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 60 * s, 60 * s}},
		{"throttle", coldThrottled, 0, []time.Duration{2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s}},
		{"warm", warmTransient, 0, []time.Duration{30 * s, 60 * s, 120 * s, 120 * s}},
		{
			"warm, ninety seconds above the floor", with(warmTransient, func(p *plight) { p.left = p.floor + 90*s }), 0,
			[]time.Duration{30 * s, 30 * s, 30 * s},
		},
		{
			"warm, just above the floor", with(warmTransient, func(p *plight) { p.left = p.floor + s }), 0,
			[]time.Duration{5 * s, 5 * s, 5 * s},
		},
		{"denied", coldDenied, 30 * s, []time.Duration{90 * s, 180 * s, 360 * s, 450 * s, 450 * s}},
	} {
		t.Run(c.name, func(t *testing.T) {
			least := make([]time.Duration, len(c.limits))
			most := make([]time.Duration, len(c.limits))
			for draw := range 3_000 {
				var r retry
				for n, limit := range c.limits {
					d := r.delay(c.p, 0)
					if d < max(minDelay, c.from) || d > limit+1 {
						t.Fatalf("delay %d is %v, outside [%v, %v]", n, d, max(minDelay, c.from), limit)
					}
					if draw == 0 || d < least[n] {
						least[n] = d
					}
					most[n] = max(most[n], d)
				}
			}
			for n, limit := range c.limits {
				if most[n] < limit*95/100 {
					t.Errorf("delay %d is never more than %v, want up to %v", n, most[n], limit)
				}
				if from := max(minDelay, limit/20); c.from == 0 && least[n] > from {
					t.Errorf("delay %d is never less than %v: that is not full jitter", n, least[n])
				}
			}
		})
	}
}

func TestDelayNeverStops(t *testing.T) {
	for _, p := range []plight{coldTransient, lateTransient, warmTransient, coldThrottled, coldDenied} {
		var r retry
		for n := range 1_000 {
			if d := r.delay(p, 0); d < minDelay || d > 450*time.Second {
				t.Fatalf("delay %d of %+v is %v", n, p, d)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name       string
		p          plight
		asked      time.Duration
		from, upTo time.Duration
	}{
		{"seven seconds", coldThrottled, 7 * time.Second, 7 * time.Second, 8750 * time.Millisecond},
		{"at least a second of jitter", coldThrottled, time.Second, time.Second, 2 * time.Second},
		{"an hour is not waited for", coldThrottled, time.Hour, 300 * time.Second, 375 * time.Second},
		{"with any class", coldTransient, 20 * time.Second, 20 * time.Second, 25 * time.Second},
		{"longer than denied would wait", coldDenied, 300 * time.Second, 300 * time.Second, 375 * time.Second},
		{"denied is not mended by coming back in a second", coldDenied, time.Second, 30 * time.Second, 90 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 1_000 {
				var r retry
				if d := r.delay(c.p, c.asked); d < c.from || d > c.upTo {
					t.Fatalf("delay(%+v, %v) = %v, want in [%v, %v]", c.p, c.asked, d, c.from, c.upTo)
				}
			}
		})
	}
}

// The longest of n draws of the first delay tells which profile and which step it came from.
func longest(n int, draw func() time.Duration) time.Duration {
	var most time.Duration
	for range n {
		most = max(most, draw())
	}
	return most
}

func TestBackOffStartsAgain(t *testing.T) {
	worn := func() *retry {
		r := &retry{}
		for range 10 {
			r.delay(lateTransient, 0)
		}
		return r
	}
	for _, c := range []struct {
		name string
		draw func() time.Duration
		want time.Duration
	}{
		{"after ten failures the cap is reached", func() time.Duration { return worn().delay(lateTransient, 0) }, 60 * time.Second},
		{"same profile, other class: no new start", func() time.Duration {
			return worn().delay(with(settlingFresh, func(p *plight) { p.failingSince = 0 }), 0)
		}, 60 * time.Second},
		{"other profile: new start", func() time.Duration { return worn().delay(coldThrottled, 0) }, 2 * time.Second},
		{"success: new start", func() time.Duration {
			r := worn()
			r.reset()
			return r.delay(lateTransient, 0)
		}, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := longest(2_000, c.draw)
			if got > c.want+1 || got < c.want*9/10 {
				t.Errorf("longest of 2000 delays = %v, want just below %v", got, c.want)
			}
		})
	}
}
