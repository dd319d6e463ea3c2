package refresher

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// DefaultPoolSize is how many dynamic targets a process keeps unless told otherwise.
	DefaultPoolSize = 64
	// busy is how recently a target must have been read to be safe from eviction.
	busy = time.Minute
)

// A Pool holds the Refreshers of the targets that callers ask for besides the identities' defaults:
// other scopes, resources and audiences. Callers choose these, so their number is bounded: a full
// pool evicts the target that was read longest ago, but none that was read in the last minute. One
// Pool is shared by all identities of a process. It is safe for concurrent use.
type Pool struct {
	// Size is the greatest number of targets; 0 means [DefaultPoolSize].
	Size int

	mu      sync.Mutex
	entries map[poolKey]poolEntry
}

type poolKey struct {
	identity *Identity
	target   Target
}

type poolEntry struct {
	refresher *Refresher
	cancel    context.CancelFunc
}

// get returns the Refresher of one target of i, started.
func (p *Pool) get(i *Identity, t Target) (*Refresher, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := poolKey{i, t}
	if e, ok := p.entries[key]; ok {
		e.refresher.touch() // or it might be evicted before it is read
		return e.refresher, nil
	}
	if err := p.makeRoom(); err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.run == nil {
		return nil, i.notRunning()
	}
	r := i.refresher(t, true)
	r.touch()
	// Entered only once its Run has been accepted: nobody would run it otherwise.
	cancel := i.run(func(ctx context.Context) { _ = r.Run(ctx) })
	if p.entries == nil {
		p.entries = make(map[poolKey]poolEntry)
	}
	p.entries[key] = poolEntry{r, cancel}
	return r, nil
}

// makeRoom evicts one target if the pool is full. The caller holds p.mu.
func (p *Pool) makeRoom() error {
	size := p.Size
	if size <= 0 {
		size = DefaultPoolSize
	}
	if len(p.entries) < size {
		return nil
	}
	var oldest poolKey
	longest := time.Duration(-1)
	for key, e := range p.entries {
		if unread := e.refresher.sinceRead(e.refresher.clock.read()); unread > longest {
			oldest, longest = key, unread
		}
	}
	if longest < busy {
		return &Error{
			Class: Transient,
			Code:  CodeTooManyTargets,
			Err:   fmt.Errorf("%d scopes, resources and audiences are in use at once", size),
			Hint:  "list the ones that are needed in the configuration",
		}
	}
	p.entries[oldest].cancel()
	delete(p.entries, oldest)
	return nil
}

// of returns the running Refreshers of i.
func (p *Pool) of(i *Identity) []*Refresher {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*Refresher
	for key, e := range p.entries {
		if key.identity == i {
			all = append(all, e.refresher)
		}
	}
	return all
}

// forget drops the targets of i, whose Run has ended.
func (p *Pool) forget(i *Identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, e := range p.entries {
		if key.identity == i {
			e.cancel()
			delete(p.entries, key)
		}
	}
}

// Len is the number of targets in the pool.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.entries)
}
