package refresher

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Of two who ask at once, one may see that nothing is under way, and say so only after the exchange of the other.
func TestForcedRefreshOfALateCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		r := New(func(context.Context) (Credential, error) {
			calls++
			return Credential{Value: Bearer{Token: "t"}, Expires: time.Now().Add(time.Hour)}, nil
		}, Options{})
		go func() { _ = r.Run(t.Context()) }()
		time.Sleep(time.Minute)
		if !r.Refresh() {
			t.Error("Refresh() = false, want true")
		}
		synctest.Wait()
		r.forced.Store(true) // as Refresh does after it has looked
		r.signal()
		synctest.Wait()
		if calls != 2 {
			t.Errorf("%d exchanges, want the first and one for both callers", calls)
		}
	})
}
