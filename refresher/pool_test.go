package refresher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

func scope(n int) refresher.Target {
	return refresher.Target{Scope: fmt.Sprintf("https://example.com/scope-%d", n)}
}

// read asks for a target with the given patience.
func read(t *testing.T, i *refresher.Identity, target refresher.Target, hold time.Duration) (refresher.Credential, error) {
	ctx, cancel := context.WithTimeout(t.Context(), hold)
	defer cancel()
	return i.Credential(ctx, target)
}

func TestTargetsAreMadeOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &refresher.Pool{}
		c := &cloud{service: &service{life: time.Hour, latency: always(time.Second)}}
		i := run(t, refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Floor: floor, Pool: pool, Target: scope(0)})
		for _, target := range []refresher.Target{{}, scope(0)} {
			if _, err := read(t, i, target, 2*time.Second); err != nil {
				t.Errorf("Credential(%v): %v", target, err)
			}
		}
		if pool.Len() != 0 || c.calls() != 1 {
			t.Errorf("the default target, by either name: %d in the pool, %d exchanges, want 0 and 1", pool.Len(), c.calls())
		}
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() {
				if _, err := read(t, i, scope(1), 2*time.Second); err != nil {
					t.Errorf("Credential: %v", err)
				}
			})
		}
		group.Wait()
		if pool.Len() != 1 || c.calls() != 2 {
			t.Errorf("1000 callers of another target: %d in the pool, %d exchanges, want 1 and 2", pool.Len(), c.calls())
		}
		if log := c.exchanges(); log[1].target != scope(1) {
			t.Errorf("asked for %v, want %v", log[1].target, scope(1))
		}
	})
}

func TestTargetsThatAreRefused(t *testing.T) {
	notListed := errors.New("not listed")
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour}}
		o := refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Floor: floor}
		single := run(t, o)
		o.Pool = &refresher.Pool{}
		o.Allow = func(target refresher.Target) error {
			if target == scope(1) {
				return nil
			}
			return notListed
		}
		choosy := run(t, o)
		for _, c := range []struct {
			name   string
			i      *refresher.Identity
			target refresher.Target
			ok     bool
		}{
			{"the default target needs no pool", single, refresher.Target{}, true},
			{"others do", single, scope(1), false},
			{"the default target needs no permission", choosy, refresher.Target{}, true},
			{"a listed scope", choosy, scope(1), true},
			{"another scope", choosy, scope(2), false},
			{"an audience", choosy, refresher.Target{Audience: "https://example.com"}, false},
		} {
			_, err := read(t, c.i, c.target, time.Second)
			if c.ok != (err == nil) {
				t.Errorf("%s: %v", c.name, err)
			}
			for range c.i.Watch(t.Context(), c.target) {
				break
			}
			if c.ok {
				continue
			}
			if e := refresher.AsError(err); e.Class != refresher.Denied || e.Code != refresher.CodeTargetNotAllowed {
				t.Errorf("%s: %#v, want %s", c.name, err, refresher.CodeTargetNotAllowed)
			}
			for _, got := range c.i.Watch(t.Context(), c.target) {
				if code(got) != refresher.CodeTargetNotAllowed {
					t.Errorf("%s: Watch yields %v", c.name, got)
				}
			}
		}
		if _, err := read(t, choosy, scope(2), time.Second); !errors.Is(err, notListed) {
			t.Errorf("Credential: %v, want the reason %v", err, notListed)
		}
	})
}

func TestFullPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &refresher.Pool{}
		c := &cloud{service: &service{life: time.Hour}}
		i := run(t, refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Floor: floor, Pool: pool})
		for n := range refresher.DefaultPoolSize {
			if _, err := read(t, i, scope(n), time.Second); err != nil {
				t.Fatalf("target %d: %v", n, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		_, err := read(t, i, scope(100), time.Second)
		if e := refresher.AsError(err); e == nil || e.Code != refresher.CodeTooManyTargets || e.Class != refresher.Transient {
			t.Fatalf("a 65th target: %v, want %s", err, refresher.CodeTooManyTargets)
		}
		if _, err := read(t, i, scope(0), time.Second); err != nil {
			t.Errorf("one of the others: %v", err)
		}
		before := c.calls()
		time.Sleep(55 * time.Second) // number 1 was read a minute ago, number 0 was not
		if _, err := read(t, i, scope(100), time.Second); err != nil {
			t.Errorf("a 65th target, a minute later: %v", err)
		}
		if pool.Len() != refresher.DefaultPoolSize {
			t.Errorf("%d targets in the pool, want %d", pool.Len(), refresher.DefaultPoolSize)
		}
		if _, err := read(t, i, scope(0), time.Nanosecond); err != nil || c.calls() != before+1 {
			t.Errorf("the target that was just read was evicted: %v, %d exchanges", err, c.calls()-before)
		}
		if _, err := read(t, i, scope(1), time.Second); err != nil || c.calls() != before+2 {
			t.Errorf("the target that was read longest ago: %v, %d exchanges, want a new one", err, c.calls()-before-1)
		}
	})
}

func TestWatchedTargetIsNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour}}
		i := run(t, refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Pool: &refresher.Pool{Size: 2}})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range i.Watch(ctx, scope(1)) {
			}
		}()
		for n := 2; n < 6; n++ {
			time.Sleep(2 * time.Minute)
			if _, err := read(t, i, scope(n), time.Second); err != nil {
				t.Errorf("target %d: %v", n, err)
			}
		}
		time.Sleep(2 * time.Minute)
		cancel()
		synctest.Wait()
		if _, err := read(t, i, scope(6), time.Second); err != nil {
			t.Error(err)
		}
		before := c.calls()
		if _, err := read(t, i, scope(1), time.Nanosecond); err != nil || c.calls() != before {
			t.Errorf("the target that was watched until now: %v, %d exchanges", err, c.calls()-before)
		}
	})
}

func TestEvictedTargetEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour}}
		i := run(t, refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Pool: &refresher.Pool{Size: 1}})
		for n := range 2 {
			if _, err := read(t, i, scope(n), time.Second); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Minute)
		}
		before := len(c.exchanges())
		time.Sleep(time.Hour)
		for _, e := range c.exchanges()[before:] {
			if e.target == scope(0) {
				t.Error("an exchange for the evicted target")
			}
		}
	})
}

func TestPoolIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &refresher.Pool{Size: 2}
		var all []*refresher.Identity
		for range 2 {
			all = append(all, run(t, refresher.IdentityOptions{
				Source: newFile(numbered(1)), Exchanger: &cloud{service: &service{life: time.Hour}}, Pool: pool,
			}))
		}
		for _, i := range all {
			if _, err := read(t, i, scope(1), time.Second); err != nil {
				t.Error(err)
			}
		}
		if _, err := read(t, all[0], scope(2), time.Second); code(err) != refresher.CodeTooManyTargets {
			t.Errorf("a third target: %v, want %s", err, refresher.CodeTooManyTargets)
		}
	})
}

func TestIDTokens(t *testing.T) {
	audience := refresher.Target{Audience: "https://example.com"}
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour, latency: always(300 * time.Millisecond)}}
		var seen sync.Map
		i := run(t, refresher.IdentityOptions{
			Source: newFile(numbered(1)), Exchanger: c, Floor: floor, Pool: &refresher.Pool{},
			OnAttempt: func(target refresher.Target, err *refresher.Error) { seen.Store(target, err == nil) },
		})
		time.Sleep(time.Minute)
		before := c.calls()
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() {
				if _, err := read(t, i, audience, time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if got := c.calls() - before; got != 1 {
			t.Errorf("%d exchanges for 1000 callers, want 1", got)
		}
		synctest.Wait() // the callers have it before OnAttempt does
		if ok, _ := seen.Load(audience); ok != true {
			t.Errorf("OnAttempt saw %v for the audience, want success", ok)
		}
		for range 300 {
			time.Sleep(time.Second)
			credential, err := read(t, i, audience, time.Second)
			if err != nil || time.Since(credential.Issued) > time.Minute {
				t.Fatalf("a token that is %v old, %v", time.Since(credential.Issued), err)
			}
		}
		before = len(c.exchanges())
		time.Sleep(24 * time.Hour)
		for _, e := range c.exchanges()[before:] {
			if e.target == audience {
				t.Error("a token that nobody had asked for")
			}
		}
	})
}

// The default target runs all the time, even if it is an audience.
func TestDefaultAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour}}
		i := run(t, refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Target: refresher.Target{Audience: "a"}})
		if i.Status().State != refresher.Fresh {
			t.Errorf("state without readers = %v, want fresh", i.Status().State)
		}
	})
}

func TestIdentityThatDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &refresher.Pool{}
		c := &cloud{service: &service{life: time.Hour}}
		i := refresher.NewIdentity(refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Floor: floor, Pool: pool})
		if _, err := read(t, i, scope(1), time.Second); code(err) != refresher.CodeNotReady {
			t.Errorf("before Run: %v, want %s", err, refresher.CodeNotReady)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- i.Run(ctx) }()
		synctest.Wait()
		if _, err := read(t, i, scope(1), time.Second); err != nil {
			t.Errorf("during Run: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if pool.Len() != 0 {
			t.Errorf("%d targets left in the pool", pool.Len())
		}
		if _, err := read(t, i, scope(1), time.Second); code(err) != refresher.CodeNotReady {
			t.Errorf("after Run: %v, want %s", err, refresher.CodeNotReady)
		}
		if _, err := read(t, i, refresher.Target{}, time.Second); err != nil {
			t.Errorf("the default target after Run: %v, want what is still good", err)
		}
		if pool.Len() != 0 {
			t.Errorf("%d targets that nobody runs", pool.Len())
		}
	})
}

func TestIdentityPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour}}
		i := run(t, refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Floor: floor, Pool: &refresher.Pool{}})
		if _, err := read(t, i, scope(1), time.Second); err != nil {
			t.Fatal(err)
		}
		if i.Refresh() {
			t.Error("Refresh() = true right after the first exchanges")
		}
		time.Sleep(time.Minute)
		if !i.Refresh() {
			t.Error("Refresh() = false a minute later")
		}
		synctest.Wait()
		if c.calls() != 4 {
			t.Errorf("%d exchanges, want one more for each of two targets", c.calls())
		}
		i.Drain(time.Minute)
		time.Sleep(50 * time.Minute)
		if c.calls() != 4 {
			t.Errorf("%d exchanges while draining", c.calls()-4)
		}
	})
}
