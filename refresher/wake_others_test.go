package refresher_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// When the default credential can be had again, the other targets are tried at once, too, whatever delay
// their own failures have earned them; and who asks meanwhile is not turned away.
func TestOtherTargetsRecoverWithTheDefaultOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var denied atomic.Bool
		c := &cloud{service: &service{life: time.Hour, answer: func(int, *refresher.Attempt) error {
			if denied.Load() {
				return &refresher.Error{Class: refresher.Denied, Code: "denied", Err: errors.New("denied")}
			}
			return nil
		}}}
		denied.Store(true)
		i := run(t, refresher.IdentityOptions{Name: "a", Source: newFile(numbered(1)), Exchanger: c, Pool: &refresher.Pool{}})
		other := refresher.Target{Audience: "other"}
		// For long enough that the next attempt of either is minutes away.
		for range 20 {
			_, _ = read(t, i, other, time.Second)
			time.Sleep(30 * time.Second)
		}
		// The default target's turn comes by its own schedule. (Refresh would try all.)
		denied.Store(false)
		for i.Status().State != refresher.Fresh {
			time.Sleep(10 * time.Millisecond)
		}
		start := time.Now()
		if _, err := read(t, i, other, 2*time.Second); err != nil {
			t.Errorf("%v after the default credential: %v", time.Since(start), err)
		}
	})
}
