package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/examples/internal/reserve"
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

// listeners are the playground's addresses, all on 127.0.0.1 and taken from the start, so that no two of
// them can be the same.
type listeners struct {
	addresses [places]string
	open      [places]net.Listener // nil where an address is only kept
	kept      [places]func()       // ends that; nil where somebody listens
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

func (l *listeners) take(at place, port int) (err error) {
	if port == 0 && runtime.GOOS == "linux" && (at == atOutlets || at == atProbes) {
		l.addresses[at], l.kept[at], err = reserve.Address()
		return err
	}
	address := "127.0.0.1:0"
	if port > 0 {
		address = fmt.Sprintf("127.0.0.1:%d", port+int(at))
	}
	if l.open[at], err = net.Listen("tcp", address); err == nil {
		l.addresses[at] = l.open[at].Addr().String()
	}
	return err
}

func (l *listeners) address(at place) string { return l.addresses[at] }
func (l *listeners) url(at place) string     { return "http://" + l.address(at) }

// makeRoom closes those that wisp is about to open itself. Where they are not kept, somebody else could take them for a
// moment.
func (l *listeners) makeRoom() error {
	var all []error
	for _, at := range []place{atOutlets, atProbes} {
		if l.open[at] != nil {
			all = append(all, l.open[at].Close())
		}
	}
	return errors.Join(all...)
}

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
	var all []error
	for at, one := range l.open {
		if l.kept[at] != nil {
			l.kept[at]()
		}
		if one == nil {
			continue
		}
		if err := one.Close(); !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
