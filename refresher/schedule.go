package refresher

import "time"

const (
	// hardMinimum is the remaining life below which a credential is not handed out: x/oauth2 takes
	// anything under 10 s for expired, and the caller needs a round trip.
	hardMinimum = 30 * time.Second
	// outage is the outage of a cloud that a long-lived credential should outlast without falling
	// below its floor.
	outage = 300 * time.Second
	// maxLifetime bounds what is believed of an answer; no cloud issues for longer.
	maxLifetime = 7 * 24 * time.Hour
	// requestSlack is how much longer than requested a lifetime may be: clocks tick in seconds.
	requestSlack = 5 * time.Second
)

// refreshWindow gives the earliest and latest age at which a credential of the given lifetime is
// renewed. The point is drawn from the window anew for every credential, so that a fleet that was
// started together spreads out.
//
// The latest point leaves the floor plus five minutes of outage for long lifetimes, and lies between
// a third and two thirds of the lifetime in any case: earlier would double the load on the token
// service, later would leave too little time for retries.
//
//	lifetime  floor  window           left at the latest point
//	   900 s  900 s     270 … 450 s       450 s
//	  1800 s  900 s     360 … 600 s      1200 s
//	  3600 s  900 s    1404 … 2340 s     1260 s
//	  4500 s  360 s    1755 … 2925 s     1575 s
//	 43200 s  900 s   16848 … 28080 s   15120 s
func refreshWindow(lifetime, floor time.Duration) (lo, hi time.Duration) {
	hi = min(lifetime*65/100, max(
		min(lifetime/2, floor*2/3),
		lifetime/3,
		lifetime-floor-outage,
	))
	return hi * 6 / 10, hi
}

// shortLifetime reports whether a credential lives so briefly that clients will ask for a new one
// most of the time, however early it is renewed.
func shortLifetime(lifetime, floor time.Duration) bool { return lifetime < 2*floor }

// minimum is the remaining life under which a credential of the given lifetime is not handed out.
func minimum(lifetime time.Duration) time.Duration { return min(hardMinimum, lifetime/4) }

// believedLifetime is how long a credential lives: by the service's own clock where it is known, else by
// ours, and never more than was asked for, so that a wrong Date can shorten but not lengthen it.
func believedLifetime(expires, serverNow time.Time, requested time.Duration) time.Duration {
	life := expires.Sub(serverNow)
	if requested > 0 {
		life = min(life, requested+requestSlack)
	}
	return min(life, maxLifetime)
}
