package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// look is how often the outlets are asked.
	look = time.Second
	// tell is how often the countdown is printed where there is no line that can change.
	tell = 5 * time.Second
)

// A lookout is what somebody remembers who looks at wisp for a while.
type lookout struct {
	*playground
	rotates time.Time // when the tokens do so next
	seen    []string  // by outlet: the credential that it showed last
	asked   int
	failed  int
}

// watch shows what changes from now on, until ctx ends. The answers are those before it.
func (p *playground) watch(ctx context.Context, before []answer) {
	p.screen.printf("\nFrom here on the tokens rotate every %v, and credentials are renewed as they age (interrupt to end):", rotation)
	l := &lookout{playground: p, rotates: time.Now().Add(rotation), seen: make([]string, len(p.outlets))}
	for i, a := range before {
		l.seen[i] = a.fields[a.outlet.key]
	}
	clock := time.NewTicker(look)
	defer clock.Stop()
	told := time.Now()
	for {
		select {
		case <-ctx.Done():
			p.screen.now("")
			p.screen.printf("Ended: %d answers, %d failures. The clouds were asked for: %s.", l.asked-l.failed, l.failed, p.world.exchanges())
			return
		case <-clock.C:
		}
		if !time.Now().Before(l.rotates) {
			l.rotate()
		}
		l.lookAround(ctx)
		p.screen.now(l.countdown())
		if !p.screen.terminal && time.Since(told) >= tell {
			told = time.Now()
			p.screen.printf("%s", l.countdown())
		}
	}
}

// rotate is the kubelet's part.
func (l *lookout) rotate() {
	l.rotates = l.rotates.Add(rotation)
	if err := l.world.kubelet.Rotate(); err != nil {
		l.screen.event("kubelet", "cannot renew the tokens: %v", err)
		return
	}
	l.screen.event("kubelet", "renews the tokens")
}

// lookAround asks all outlets, and tells of new credentials and of failures.
func (l *lookout) lookAround(ctx context.Context) {
	for i, a := range l.askAll(ctx, time.Time{}) {
		if ctx.Err() != nil {
			return
		}
		l.asked++
		if a.err != nil {
			l.failed++
			l.screen.event("app", "%-14s %s failed: %v", a.outlet.identity, a.outlet.name(), a.err)
			continue
		}
		if credential := a.fields[a.outlet.key]; credential != l.seen[i] {
			l.seen[i] = credential
			l.screen.event("app", "%-14s %s has a new credential: %s", a.outlet.identity, a.outlet.name(), shorten(credential))
		}
	}
}

// countdown says what is about to happen, in less than the 80 columns of a narrow terminal.
func (l *lookout) countdown() string {
	var line strings.Builder
	line.WriteString("  next:")
	for _, name := range []string{"aws", "google", "azure"} {
		if i, known := l.agent.Identity(name); known {
			fmt.Fprintf(&line, " %s %s,", name, seconds(i.Status().Next))
		}
	}
	fmt.Fprintf(&line, " tokens %s; %d answers, %d failures", seconds(time.Until(l.rotates)), l.asked-l.failed, l.failed)
	return line.String()
}

func seconds(d time.Duration) string { return max(d, 0).Round(time.Second).String() }
