package refresher_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

func TestNilAttempt(t *testing.T) {
	a := refresher.AttemptFrom(context.Background())
	if a != nil {
		t.Fatalf("AttemptFrom(context.Background()) = %v, want nil", a)
	}
	a.Record(func(*refresher.AttemptData) { t.Error("a nil Attempt has nothing to change") })
	if got := a.Data(); got.Status != 0 || !got.Date.IsZero() {
		t.Errorf("Data() of a nil Attempt = %+v, want zero", got)
	}
	if got := time.Until(a.ServerNow()).Abs(); got > time.Minute {
		t.Errorf("ServerNow() of a nil Attempt is %v from now", got)
	}
}

func TestAttemptTravelsInTheContext(t *testing.T) {
	a := &refresher.Attempt{}
	ctx, cancel := context.WithCancel(refresher.WithAttempt(t.Context(), a))
	defer cancel()
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			refresher.AttemptFrom(ctx).Record(func(d *refresher.AttemptData) { d.Status++ })
		})
	}
	group.Wait()
	if got := a.Data().Status; got != 10 {
		t.Errorf("Status after ten changes = %d, want 10", got)
	}
}

func TestServerNow(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := &refresher.Attempt{}
	a.Record(func(d *refresher.AttemptData) { d.Date = at })
	if got := a.ServerNow(); !got.Equal(at) {
		t.Errorf("ServerNow() = %v, want the Date %v", got, at)
	}
}

// An answer without Date is judged by what earlier ones told of the local clock.
func TestServerNowRemembersTheClocksError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		right := func() time.Time { return time.Now().Add(2 * time.Hour) }
		var off time.Duration
		s := &service{life: time.Hour, clock: right}
		s.answer = func(n int, a *refresher.Attempt) error {
			if n == 2 {
				a.Record(func(d *refresher.AttemptData) { d.Date, d.DateAt = time.Time{}, time.Time{} })
				off = a.ServerNow().Sub(right())
			}
			return nil
		}
		r := s.start(t, refresher.Options{})
		time.Sleep(45 * time.Minute)
		synctest.Wait()
		if s.calls() != 2 || off != 0 {
			t.Errorf("after %d exchanges ServerNow() is %v off", s.calls(), off)
		}
		if got := r.Status(); got.State != refresher.Fresh {
			t.Errorf("status = %+v, want fresh", got)
		}
	})
}
