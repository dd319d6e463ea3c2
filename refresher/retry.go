package refresher

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// fastPeriod is how long after its first attempt a Refresher retries a cold start fast: the
	// network of a Pod is usable seconds after its first process, not minutes.
	fastPeriod = time.Minute
	// settlePeriod is how long a trust, provider or binding may take to become visible.
	settlePeriod = 10 * time.Minute
	// minDelay keeps full jitter, which starts at zero, from spinning.
	minDelay = 250 * time.Millisecond
	// maxRetryAfter bounds what a service can ask us to wait.
	maxRetryAfter = 300 * time.Second
)

// A profile names a sequence of delays between attempts.
type profile int

const (
	fast     profile = iota // cold start: U[0, 0.2 s·2ⁿ], at most 5 s
	slow                    // no credential for a while: U[0, 5 s·2ⁿ], at most 60 s
	warm                    // the credential is still good: U[0, 30 s·2ⁿ], at most 120 s, less near the floor
	throttle                // the service is busy: U[0, 2 s·2ⁿ], at most 60 s
	denied                  // somebody has to act: 60 s·2ⁿ ± 50 %, at most 300 s ± 50 %
)

// backOff returns the profile's delays. backoff's randomization factor of 1 draws from [0, 2·interval],
// so full jitter over [0, x] is an interval of x/2. MaxElapsedTime 0 means: never stop.
func (p profile) backOff() backoff.BackOff {
	full := func(first, limit time.Duration) backoff.BackOff {
		return backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(first/2), backoff.WithMaxInterval(limit/2),
			backoff.WithMultiplier(2), backoff.WithRandomizationFactor(1), backoff.WithMaxElapsedTime(0))
	}
	switch p {
	case fast:
		return full(200*time.Millisecond, 5*time.Second)
	case slow:
		return full(5*time.Second, 60*time.Second)
	case warm:
		return full(30*time.Second, 120*time.Second)
	case throttle:
		return full(2*time.Second, 60*time.Second)
	default:
		return backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(60*time.Second), backoff.WithMaxInterval(300*time.Second),
			backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0.5), backoff.WithMaxElapsedTime(0))
	}
}

// A plight is what the choice of a delay depends on.
type plight struct {
	class        Class
	hadOne       bool          // a credential was obtained at some time
	left         time.Duration // remaining life of the present credential; ≤ 0 without one
	floor        time.Duration
	sinceStart   time.Duration // since the Refresher's first attempt
	failingSince time.Duration // how long the present streak of failures lasts
}

// settled is the class as it counts now: what has been settling for too long is denied.
func (p plight) settled() Class {
	if p.class == Settling && p.failingSince >= settlePeriod && !p.comfortable() {
		return Denied
	}
	return p.class
}

// comfortable: there is a credential and no client of it is worried yet.
func (p plight) comfortable() bool { return p.left > 0 && p.left >= p.floor }

func (p plight) profile() profile {
	switch class := p.settled(); {
	case class == Throttled:
		return throttle
	case class == Denied:
		return denied
	case p.comfortable():
		return warm
	case class == Transient && !p.hadOne && p.sinceStart < fastPeriod:
		return fast
	default:
		return slow
	}
}

// A retry is the memory of the one retry loop: it hands out the delay before the next attempt. It is
// not safe for concurrent use.
type retry struct {
	current profile
	delays  backoff.BackOff
}

// delay gives the time to wait before the next attempt. retryAfter is what the service asked for, 0
// if it did not.
func (r *retry) delay(p plight, retryAfter time.Duration) time.Duration {
	if want := p.profile(); r.delays == nil || want != r.current {
		r.current, r.delays = want, want.backOff()
	}
	d := r.delays.NextBackOff()
	if r.current == warm {
		// The last attempts have to cluster before the floor, not after it.
		if limit := min(120*time.Second, max(5*time.Second, (p.left-p.floor)/3)); d > limit {
			d = rand.N(limit)
		}
	}
	if retryAfter > 0 {
		retryAfter = min(retryAfter, maxRetryAfter)
		asked := retryAfter + rand.N(max(time.Second, retryAfter/4))
		if r.current != denied || asked > d { // "come back in a second" mends no configuration
			d = asked
		}
	}
	return max(d, minDelay)
}

// reset is called after a success.
func (r *retry) reset() { r.delays = nil }
