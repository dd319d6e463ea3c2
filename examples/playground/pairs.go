package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/examples/pairs"
	"github.com/wisp-sidecar/wisp/refresher"
)

// A pairScene is a world and a wisp of their own, for every source with every exchange.
type pairScene struct {
	at    *listeners
	world *pairs.World
	list  []pairs.Pair
	agent *agent.Agent
}

// newPairScene makes them, and writes the configuration. Nothing runs yet.
func newPairScene(dir directory, at *listeners) (*pairScene, error) {
	// A run before has left tokens of issuers that are no more.
	if err := os.RemoveAll(dir.file(pairsDir)); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir.file(pairsDir), 0o700); err != nil {
		return nil, err
	}
	world, err := pairs.NewWorld(pairs.Options{URL: at.url(atPairs), Dir: dir.file(pairsDir)})
	if err != nil {
		return nil, err
	}
	s := &pairScene{at: at, world: world, list: world.Pairs()}
	if err := dir.write(pairsFile, []byte("health: {listen: off}\nadmin: {socket: off}\n"+pairs.Document(s.list...))); err != nil {
		return nil, err
	}
	c, err := agent.Load(dir.file(pairsFile))
	if err != nil {
		return nil, err
	}
	environ, err := world.Environ()
	if err != nil {
		return nil, err
	}
	s.agent, err = agent.New(c, agent.Options{Getenv: func(name string) string { return environ[name] }})
	return s, err
}

// A pairResult is what became of a pair: whom the cloud takes its credential for, or why there is none.
type pairResult struct {
	whom string
	err  error
}

// play runs world and wisp until each identity has been asked once.
func (s *pairScene) play(ctx context.Context, patience time.Duration) ([]pairResult, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.at.serve(ctx, map[place]http.Handler{atPairs: s.world}) })
	s.agent.RunIdentities(ctx, group)
	results := make([]pairResult, len(s.list))
	group.Go(func() error {
		defer stop()
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var asking sync.WaitGroup
		for i, pair := range s.list {
			asking.Go(func() { results[i] = s.ask(ctx, pair) })
		}
		asking.Wait()
		return nil
	})
	return results, group.Wait()
}

func (s *pairScene) ask(ctx context.Context, pair pairs.Pair) pairResult {
	identity, known := s.agent.Identity(pair.Name)
	if !known {
		return pairResult{err: fmt.Errorf("there is no identity %s", pair.Name)}
	}
	credential, err := identity.Credential(ctx, refresher.Target{})
	if err != nil {
		return pairResult{err: err}
	}
	whom, _ := pair.Check(credential)
	return pairResult{whom, pair.Accepts(credential)}
}

// showPairs plays the scene and shows its results. Its error is what failed.
func (p *playground) showPairs(ctx context.Context) error {
	p.screen.printf("\nEvery source with every exchange (%s):", p.dir.file(pairsFile))
	results, err := p.pairs.play(ctx, p.options.patience)
	if err := cmp.Or(ctx.Err(), err); err != nil { // an interrupt is no failure of the pairs
		return err
	}
	var failed []string
	for i, pair := range p.pairs.list {
		outcome := results[i].whom
		if results[i].err != nil {
			outcome = "failed: " + results[i].err.Error()
			failed = append(failed, fmt.Sprintf("%s: %v", pair.Name, results[i].err))
		}
		p.screen.printf("  %-31s %-9s %s", pair.Source, pair.Cloud, outcome)
	}
	p.screen.printf("%d of %d pairs were good.", len(results)-len(failed), len(results))
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d pairs failed:\n  %s", len(failed), len(results), strings.Join(failed, "\n  "))
	}
	return nil
}
