package source

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceRereadsBeforeItFlags(t *testing.T) {
	var p pace
	bad, other := [32]byte{1}, [32]byte{2}
	for i, want := range []time.Duration{50, 100, 200, 400, 800} {
		if got := p.failed(bad); got != want*time.Millisecond || p.flagged {
			t.Errorf("failure %d: wait %v, flagged %v, want %v, false", i+1, got, p.flagged, want*time.Millisecond)
		}
	}
	for range 3 {
		if got := p.failed(bad); !around(got, time.Second) || !p.flagged {
			t.Errorf("later failure: wait %v, flagged %v, want about 1s, true", got, p.flagged)
		}
	}
	if got := p.failed(other); got != rereads[0] || !p.flagged {
		t.Errorf("other content: wait %v, flagged %v, want %v, true", got, p.flagged, rereads[0])
	}
}

func TestPollAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a clock that stands still
		now := time.Now()
		for _, test := range []struct {
			name     string
			expires  time.Time
			watching bool
			want     time.Duration
		}{
			{"no inotify", now.Add(time.Hour), false, 5 * time.Second},
			{"inotify", now.Add(time.Hour), true, time.Minute},
			{"no expiry, no inotify", time.Time{}, false, 5 * time.Second},
			{"no expiry, inotify", time.Time{}, true, time.Minute},
			{"expired", now.Add(-time.Hour), true, time.Second},
			{"as good as expired", now.Add(10 * time.Second), true, time.Second},
		} {
			for range 100 {
				if got := pollAfter(test.expires, test.watching); !around(got, test.want) {
					t.Errorf("%s: pollAfter = %v, want %v ± 20 %%", test.name, got, test.want)
				}
			}
		}
		if got, want := pollAfter(now.Add(25*time.Second), true), 15*time.Second; got != want {
			t.Errorf("pollAfter(25 s before the end) = %v, want %v: when the token is too old to be sent", got, want)
		}
	})
}

func around(got, want time.Duration) bool { return got >= want*8/10 && got <= want*12/10 }

func TestDebounce(t *testing.T) {
	for _, test := range []struct {
		name  string
		every time.Duration // between hints
		hints int
		want  time.Duration
	}{
		{"one swap: a burst of hints, then quiet", time.Millisecond, 5, 105 * time.Millisecond},
		{"hints without end", 50 * time.Millisecond, 100, time.Second},
		{"a single hint", 0, 0, 100 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hints := make(chan struct{}, test.hints)
				var hinting sync.WaitGroup
				hinting.Go(func() {
					for range test.hints {
						time.Sleep(test.every)
						hints <- struct{}{}
					}
				})
				start := time.Now()
				debounce(t.Context(), hints)
				if got := time.Since(start); got != test.want {
					t.Errorf("debounce took %v, want %v", got, test.want)
				}
				hinting.Wait()
			})
		})
	}
}
