package refresher_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// program is a source that takes its time, as a program that prints a token may.
type program struct {
	takes time.Duration
}

func (p program) Token(ctx context.Context) (refresher.Token, error) {
	select {
	case <-time.After(p.takes):
		return numbered(1), nil
	case <-ctx.Done():
		return refresher.Token{}, &refresher.Error{Class: refresher.SubjectToken, Code: "slow_program", Err: ctx.Err()}
	}
}

// A source may take two minutes: that leaves the exchange after it all of its own time, and nobody
// takes the scheduler for dead.
func TestSlowSource(t *testing.T) {
	for _, c := range []struct {
		name          string
		source, cloud time.Duration
		want          string // the failure's code; "-" is a credential
	}{
		{"a program that takes two minutes, and a service that takes 19 s", 2 * time.Minute, 19 * time.Second, "-"},
		{"a program that takes longer", 2*time.Minute + 6*time.Second, 0, "slow_program"},
		{"a service that takes 21 s", 0, 21 * time.Second, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := &cloud{service: &service{life: time.Hour, latency: always(c.cloud)}}
				i := run(t, refresher.IdentityOptions{Name: "a", Source: program{c.source}, Exchanger: cloud})
				for range 29 {
					time.Sleep(5 * time.Second)
					if since := i.Status().SinceBeat; since > time.Minute {
						t.Fatalf("SinceBeat = %v, want no more than a minute", since)
					}
				}
				status := i.Status()
				switch {
				case c.want == "-" && !status.Usable:
					t.Errorf("there is no credential after 145 s: %v", status.Failure)
				case c.want != "-" && (status.Failure == nil || status.Failure.Code != c.want):
					t.Errorf("failure %v, want one with code %q", status.Failure, c.want)
				}
			})
		})
	}
}
