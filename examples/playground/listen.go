package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// A place is one listener of the playground.
type place int

const (
	atIssuer place = iota
	atAWS
	atGoogle
	atEntra
	atPairs
	atOutlets // wisp's, as is the next
	atProbes
	places = iota
)

// listeners are the playground's addresses, all on 127.0.0.1 and open from the start, so that no two of
// them can be the same.
type listeners [places]net.Listener

// listen opens all of them: at port and those above it, or, if port is 0, wherever there is room.
func listen(port int) (*listeners, error) {
	all := new(listeners)
	for i := range all {
		address := "127.0.0.1:0"
		if port > 0 {
			address = fmt.Sprintf("127.0.0.1:%d", port+i)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		all[i] = l
	}
	return all, nil
}

func (l *listeners) address(at place) string { return l[at].Addr().String() }
func (l *listeners) url(at place) string     { return "http://" + l.address(at) }

// makeRoom closes those that wisp is about to open itself. For a moment somebody else could take them.
func (l *listeners) makeRoom() error {
	return errors.Join(l[atOutlets].Close(), l[atProbes].Close())
}

// serve answers at some of them until ctx ends.
func (l *listeners) serve(ctx context.Context, handlers map[place]http.Handler) error {
	group, ctx := errgroup.WithContext(ctx)
	for at, handler := range handlers {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		group.Go(func() error {
			if err := server.Serve(l[at]); !errors.Is(err, http.ErrServerClosed) {
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

// close closes all that are open.
func (l *listeners) close() error {
	var all []error
	for _, one := range l {
		if one == nil {
			continue
		}
		if err := one.Close(); !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
