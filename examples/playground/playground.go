package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
)

// A playground is a world, a wisp in it, and somebody who looks.
type playground struct {
	options options
	dir     directory
	at      *listeners
	world   *world
	agent   *agent.Agent
	pairs   *pairScene
	outlets []outlet
	screen  *screen
}

// open makes everything and writes the files, but runs nothing yet. Close it after that.
func open(o options, stdout io.Writer) (*playground, error) {
	p := &playground{options: o, screen: newScreen(stdout)}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *playground) prepare() (err error) {
	if p.dir, err = makeDirectory(p.options.dir); err != nil {
		return err
	}
	if p.at, err = listen(p.options.port); err != nil {
		return err
	}
	if p.world, err = newWorld(p.dir, p.options.lifetime, p.at); err != nil {
		return err
	}
	if err = p.world.kubelet.Rotate(); err != nil {
		return err
	}
	if err = p.makeAgent(); err != nil {
		return err
	}
	p.pairs, err = newPairScene(p.dir, p.at)
	return err
}

// makeAgent does what wisp run --config config.yaml does, and tells clients of it.
func (p *playground) makeAgent() error {
	text, err := config(p.dir, p.at)
	if err != nil {
		return err
	}
	if err := p.dir.write(configFile, text); err != nil {
		return err
	}
	c, err := agent.Load(p.dir.file(configFile))
	if err != nil {
		return err
	}
	if err := p.makeClients(c); err != nil {
		return err
	}
	p.agent, err = agent.New(c, agent.Options{Log: slog.New(logScreen{screen: p.screen}), Version: "playground"})
	return err
}

// makeClients does what wisp env and wisp adc do.
func (p *playground) makeClients(c *agent.Config) error {
	e, err := environment(c, p.dir, p.at)
	if err != nil {
		return err
	}
	text, err := script(e)
	if err != nil {
		return err
	}
	document, err := c.ADC("google", agent.ADCOptions{From: "url"})
	if err != nil {
		return err
	}
	p.outlets = outlets(values(e), p.world)
	return errors.Join(p.dir.write(envFile, text), p.dir.write(adcFile, document))
}

// play runs the world, and wisp in it, and shows what happens: until ctx ends, or for one tour.
func (p *playground) play(ctx context.Context) error {
	p.introduce()
	if err := p.showTokens(); err != nil {
		return err
	}
	p.screen.printf("\nwisp trades them:")
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.world.run(ctx) })
	group.Go(func() error { return p.agent.Run(ctx) })
	group.Go(func() error {
		defer stop()
		answers, err := p.tour(ctx)
		if ctx.Err() == nil {
			err = errors.Join(err, p.showPairs(ctx))
		}
		if p.options.once {
			return err
		}
		if err != nil && ctx.Err() == nil {
			p.screen.printf("%v", err)
		}
		p.watch(ctx, answers)
		return nil
	})
	return group.Wait()
}

// close removes what only this run needed.
func (p *playground) close() error {
	var problems []error
	if p.at != nil {
		problems = append(problems, p.at.close())
	}
	if p.options.dir == "" && p.dir != "" {
		problems = append(problems, os.RemoveAll(string(p.dir)))
	}
	return errors.Join(problems...)
}
