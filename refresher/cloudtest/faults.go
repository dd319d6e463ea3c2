package cloudtest

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A Fault is an answer that a service gives in place of its own. Exactly one of Throttle, Malformed
// and Status says which.
type Fault struct {
	Operation string // the operation it hits, such as "AssumeRole"; empty: any
	Times     int    // how many requests it hits; 0: all, until Clear

	// Throttle: what this service says to a client that calls too often, with Retry-After if that
	// is set.
	Throttle   bool
	RetryAfter time.Duration // in whole seconds, rounded up; for odd values use Header
	// Malformed: status 200 and a body that ends in the middle.
	Malformed bool
	// Status, with Body, is any other answer.
	Status int
	Body   string
	// Header is added to any of these answers.
	Header http.Header
}

// Faults makes the service that embeds it misbehave, and counts its calls. The zero value
// does nothing wrong. It is safe for concurrent use.
type Faults struct {
	mu       sync.Mutex // guards all below
	faults   []*Fault
	refusing bool
	delay    time.Duration
	skew     time.Duration
	lifetime time.Duration
	calls    map[string]int // by operation
}

// Inject adds a fault. A request is hit by the first one, in order of injection, that its
// operation matches; it uses up one of that fault's times. Inject panics if the fault does not say
// what to answer.
func (f *Faults) Inject(fault Fault) {
	if !fault.Throttle && !fault.Malformed && fault.Status == 0 {
		panic("cloudtest: a Fault needs Throttle, Malformed or Status")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault)
}

// Refuse starts or stops to refuse connections. Over a [Network] the client's dial fails with
// "connection refused". Over a real socket somebody has already accepted the connection when this is
// looked at, so there the connection is closed without an answer, and the client sees EOF. Refused
// requests are not counted.
func (f *Faults) Refuse(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusing = on
}

// Refusing reports whether connections are refused; [Network] asks.
func (f *Faults) Refusing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refusing
}

// Delay makes each later answer, a fault's included, wait for d, or until the client gives up.
func (f *Faults) Delay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// SkewDate adds an offset to the Date header. The service's own clock stays right.
func (f *Faults) SkewDate(offset time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skew = offset
}

// LimitLifetime lets later credentials live for d at most, whatever was asked for. A negative d makes
// them expired at birth; 0 ends it.
func (f *Faults) LimitLifetime(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lifetime = d
}

// Clear ends all faults. The counts stay.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.refusing, f.delay, f.skew, f.lifetime = nil, false, 0, 0, 0
}

// Calls returns how many requests of an operation have arrived, whatever became of them. The
// empty operation counts them all. The names are those of the service; each one's documentation
// lists them.
func (f *Faults) Calls(operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if operation != "" {
		return f.calls[operation]
	}
	total := 0
	for n := range maps.Values(f.calls) {
		total += n
	}
	return total
}

// limit applies LimitLifetime.
func (f *Faults) limit(lifetime time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lifetime == 0 {
		return lifetime
	}
	return min(lifetime, f.lifetime)
}

// A wording is how a service says what every service may have to say.
type wording struct {
	throttled   func(w http.ResponseWriter)
	contentType string // of a good answer
	malformed   string // its beginning
}

// answers begins the answer to a request: it counts it, waits, sets Date, and gives the answer of a
// fault that hits. It reports whether the request is done with.
func (f *Faults) answers(w http.ResponseWriter, r *http.Request, operation string, now func() time.Time, words wording) bool {
	if f.Refusing() {
		panic(http.ErrAbortHandler) // closes the connection
	}
	delay, fault := f.arrive(operation)
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return true // nobody is there to read an answer
		}
	}
	w.Header().Set("Date", now().Add(f.skewed()).UTC().Format(http.TimeFormat))
	if fault == nil {
		return false
	}
	if fault.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(fault.RetryAfter.Seconds()))))
	}
	maps.Copy(w.Header(), fault.Header)
	switch {
	case fault.Throttle:
		words.throttled(w)
	case fault.Malformed:
		w.Header().Set("Content-Type", words.contentType)
		_, _ = w.Write([]byte(words.malformed))
	default:
		w.WriteHeader(fault.Status)
		_, _ = w.Write([]byte(fault.Body))
	}
	return true
}

func (f *Faults) skewed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.skew
}

// arrive counts a request and finds what is to happen to it.
func (f *Faults) arrive(operation string) (delay time.Duration, hit *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = make(map[string]int)
	}
	f.calls[operation]++
	i := slices.IndexFunc(f.faults, func(fault *Fault) bool {
		return fault.Operation == "" || fault.Operation == operation
	})
	if i < 0 {
		return f.delay, nil
	}
	hit = f.faults[i]
	if hit.Times == 1 {
		f.faults = slices.Delete(f.faults, i, i+1)
	} else if hit.Times > 1 {
		hit.Times--
	}
	return f.delay, hit
}
