package refresher_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// downFor refuses until the network has been up for d.
func downFor(d time.Duration, err error) func(int, *refresher.Attempt) error {
	start := time.Now()
	return func(int, *refresher.Attempt) error {
		if time.Since(start) < d {
			return err
		}
		return nil
	}
}

// A Pod's network is there seconds after its first process. However long it takes, up to a minute,
// the credential is there five seconds later.
func TestNetworkComesUpLate(t *testing.T) {
	for _, up := range []time.Duration{0, time.Second, 5 * time.Second, 20 * time.Second, 45 * time.Second, 60 * time.Second} {
		t.Run(up.String(), func(t *testing.T) {
			for range 50 {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					s := &service{life: time.Hour, answer: downFor(up, errDown)}
					r := s.start(t, refresher.Options{Floor: floor})
					mustGet(t, r, 10*time.Minute)
					if took := time.Since(start); took < up || took > up+5*time.Second {
						t.Errorf("credential after %v, want within 5s of %v; exchanges at %v", took, up, s.since(start))
					}
				})
			}
		})
	}
}

// A network that swallows packets: an attempt hangs for three seconds before it fails.
func TestBlackHoleAtTheStart(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &service{life: time.Hour, answer: downFor(20*time.Second, errDown), latency: func(int) time.Duration {
				if time.Since(start) < 20*time.Second {
					return 3 * time.Second
				}
				return 0
			}}
			r := s.start(t, refresher.Options{Floor: floor})
			mustGet(t, r, 10*time.Minute)
			if took := time.Since(start); took > 28*time.Second {
				t.Errorf("credential after %v, want within 28s", took)
			}
		})
	}
}

// A mesh sidecar that is not ready answers in the service's place: first 503, then a 404 with HTML.
func TestForeignAnswersAtTheStart(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &service{life: time.Hour, answer: func(int, *refresher.Attempt) error {
				switch age := time.Since(start); {
				case age < 7*time.Second:
					return failure(refresher.Transient, "503")
				case age < 15*time.Second:
					return failure(refresher.Transient, refresher.CodeForeignResponse)
				}
				return nil
			}}
			r := s.start(t, refresher.Options{Floor: floor})
			mustGet(t, r, time.Minute)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("credential after %v, want within 20s", took)
			}
		})
	}
}

// After the first minute nobody believes any more that the mesh is about to come up.
func TestForeignAnswersForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &service{answer: func(int, *refresher.Attempt) error {
			return failure(refresher.Transient, refresher.CodeForeignResponse)
		}}
		r := s.start(t, refresher.Options{Floor: floor})
		for _, c := range []struct {
			at   time.Duration
			want refresher.Class
		}{{30 * time.Second, refresher.Transient}, {5 * time.Minute, refresher.Settling}, {13 * time.Minute, refresher.Denied}} {
			time.Sleep(time.Until(start.Add(c.at)))
			synctest.Wait()
			if got := r.Status().Failure.Class; got != c.want {
				t.Errorf("class around %v = %v, want %v", c.at, got, c.want)
			}
		}
	})
}

func TestFiveServerErrorsThenSuccess(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &service{life: time.Hour, answer: func(n int, _ *refresher.Attempt) error {
				if n <= 5 {
					return errDown
				}
				return nil
			}}
			r := s.start(t, refresher.Options{Floor: floor})
			mustGet(t, r, time.Minute)
			at := s.since(start)
			if len(at) != 6 {
				t.Fatalf("%d exchanges, want 6", len(at))
			}
			for n, limit := range []time.Duration{250, 400, 800, 1600, 3200} {
				if pause := at[n+1] - at[n]; pause < 250*time.Millisecond || pause > limit*time.Millisecond+1 {
					t.Errorf("pause %d = %v, want in [250ms, %dms]", n, pause, limit)
				}
			}
		})
	}
}

// A federated credential that was just created takes a while to be seen everywhere.
func TestTrustSettlesAfterNinetySeconds(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &service{life: time.Hour, answer: downFor(90*time.Second, errSettling)}
			r := s.start(t, refresher.Options{Floor: floor})
			mustGet(t, r, 10*time.Minute)
			if took := time.Since(start); took > 150*time.Second {
				t.Errorf("credential after %v, want within 60s of 90s", took)
			}
		})
	}
}

func TestThousandColdCallersMakeOneExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(500 * time.Millisecond)}
		r := s.start(t, refresher.Options{Floor: floor})
		var group sync.WaitGroup
		answers := make(chan refresher.Credential, 1000)
		for range 1000 {
			group.Go(func() {
				if c, err := get(t, r, 800*time.Millisecond); err != nil {
					t.Errorf("Get: %v", err)
				} else {
					answers <- c
				}
			})
		}
		group.Wait()
		first := <-answers
		for range len(answers) {
			if c := <-answers; c != first {
				t.Fatalf("two answers: %v and %v", c, first)
			}
		}
		if s.calls() != 1 {
			t.Errorf("%d exchanges, want 1", s.calls())
		}
	})
}

func TestAnImpatientCallerCancelsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(500 * time.Millisecond)}
		r := s.start(t, refresher.Options{Floor: floor})
		var group sync.WaitGroup
		for n := range 100 {
			group.Go(func() {
				hold := time.Second
				if n == 0 {
					hold = 10 * time.Millisecond
				}
				if _, err := get(t, r, hold); (err != nil) != (n == 0) {
					t.Errorf("caller %d: %v", n, err)
				}
			})
			synctest.Wait() // the impatient one is the first
		}
		group.Wait()
		if s.calls() != 1 {
			t.Errorf("%d exchanges, want 1", s.calls())
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := &service{life: time.Hour, answer: func(n int, _ *refresher.Attempt) error {
			if n == 1 {
				panic("unexpected answer: eyJhbGciOi.secret")
			}
			return nil
		}}
		r := s.start(t, refresher.Options{Floor: floor, Log: slog.New(slog.NewTextHandler(&log, nil))})
		synctest.Wait()
		if got := r.Status().Failure; got == nil || got.Code != refresher.CodePanic || got.Class != refresher.Transient {
			t.Errorf("failure = %#v, want a transient panic", got)
		}
		mustGet(t, r, time.Second)
		synctest.Wait()
		if text := log.String(); strings.Contains(text, "eyJ") || !strings.Contains(text, "story_start_test.go") {
			t.Errorf("the log lacks the stack, or quotes the panic's value:\n%s", text)
		}
	})
}

// A hung exchange ends by itself.
func TestExchangeHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(time.Hour)}
		start := time.Now()
		r := s.start(t, refresher.Options{Floor: floor})
		time.Sleep(20*time.Second + time.Millisecond)
		synctest.Wait()
		if got := r.Status(); got.Flying || got.Failure == nil || got.Failure.Class != refresher.Transient {
			t.Errorf("status after %v = %+v, want a transient failure", time.Since(start), got)
		}
	})
}

func TestRunEndsInTheMiddleOfAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(10 * time.Second)}
		r := refresher.New(s.fetch, refresher.Options{OnAttempt: func(err *refresher.Error) {
			t.Errorf("an exchange that was called off counts as an attempt: %v", err)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
		if status := r.Status(); status.Flying || status.Failure != nil || s.calls() != 1 {
			t.Errorf("after Run: %d exchanges, status %+v", s.calls(), status)
		}
	})
}
