package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/reserve"
)

// A place is one listener of the playground.
type place int

const (
	atIssuer place = iota
	atAWS
	atGoogle
	atEntra
	atPairs
	atOutlets // here wisp listens, as at the next
	atProbes
	places = iota
)

// listeners are the playground's addresses, all on 127.0.0.1. From the start those of the services are open, and those of
// wisp are kept for it, so that nobody else gets them.
type listeners struct {
	addresses [places]string
	open      [atOutlets]net.Listener
	releases  []func() // of what is kept
}

// listen takes all of them: at port and those above it, or, if port is 0, wherever there is room.
func listen(port int) (*listeners, error) {
	all := new(listeners)
	for at := range all.addresses {
		if err := all.take(place(at), port); err != nil {
			return nil, errors.Join(err, all.close())
		}
	}
	return all, nil
}

func (l *listeners) take(at place, port int) error {
	address := "127.0.0.1:0"
	if port > 0 {
		address = fmt.Sprintf("127.0.0.1:%d", port+int(at))
	}
	switch {
	case at < atOutlets:
		one, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		l.open[at], address = one, one.Addr().String()
	case port == 0:
		kept, release, err := reserve.Address()
		if err != nil {
			return err
		}
		l.releases, address = append(l.releases, release), kept
	}
	l.addresses[at] = address
	return nil
}

func (l *listeners) address(at place) string { return l.addresses[at] }
func (l *listeners) url(at place) string     { return "http://" + l.address(at) }

// serve answers at some of them until ctx ends.
func (l *listeners) serve(ctx context.Context, handlers map[place]http.Handler) error {
	group, ctx := errgroup.WithContext(ctx)
	for at, handler := range handlers {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		group.Go(func() error {
			if err := server.Serve(l.open[at]); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			return server.Close()
		})
	}
	return group.Wait()
}

// close closes all that are open, and keeps none any longer.
func (l *listeners) close() error {
	for _, release := range l.releases {
		release()
	}
	var all []error
	for _, one := range l.open {
		if one == nil {
			continue
		}
		if err := one.Close(); !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
