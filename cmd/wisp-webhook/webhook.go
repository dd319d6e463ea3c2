package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/metadata"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

const (
	readHeaderTimeout = 2 * time.Second
	readTimeout       = 5 * time.Second
	// writeTimeout is longer than the longest timeout that a webhook's configuration may have.
	writeTimeout = maxPatience + 5*time.Second
	// idleTimeout is longer than the API server keeps an idle connection (90 s), so that it is the API server
	// who closes it: a review that meets a connection which is just being closed is lost.
	idleTimeout     = 3 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeaderBytes  = 64 << 10
)

// webhookOptions configure a [webhook]. All are required, but for Drain.
type webhookOptions struct {
	Policy      *inject.Policy
	Client      metadata.Interface // way to the API server
	TLSDir      string             // where tls.crt and tls.key are
	MaxInFlight int                // reviews that are worked on at once
	Drain       time.Duration      // between Quit and the end
	Now         func() time.Time   // by which certificates expire
	Log         *slog.Logger
}

// A webhook is the whole program without its command line.
type webhook struct {
	options   webhookOptions
	meters    *meters
	pair      *keyPair
	directory *directory
	quit      chan struct{}
	quitOnce  sync.Once
	draining  atomic.Bool
}

func newWebhook(o webhookOptions) *webhook {
	m := newMeters()
	w := &webhook{
		options:   o,
		meters:    m,
		pair:      newKeyPair(keyPairOptions{Dir: o.TLSDir, Now: o.Now, Log: o.Log, Meters: m}),
		directory: newDirectory(o.Client, o.Log, m),
		quit:      make(chan struct{}),
	}
	m.gauges(w.pair, w.directory)
	return w
}

// Quit makes Run end in good order. It may be called more than once.
func (w *webhook) Quit() { w.quitOnce.Do(func() { close(w.quit) }) }

// servers makes both servers, with what a client may take of their time and memory.
func (w *webhook) servers() (reviews, probes *http.Server) {
	reviews = &http.Server{
		Handler: newHandler(handlerOptions{
			Admit:       (&admitter{policy: w.options.Policy, look: w.directory.look, log: w.options.Log}).admit,
			MaxInFlight: w.options.MaxInFlight,
			Draining:    w.draining.Load,
			Log:         w.options.Log,
			Meters:      w.meters,
		}),
		TLSConfig: &tls.Config{
			MinVersion:             tls.VersionTLS12,
			GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return w.pair.current() },
			SessionTicketsDisabled: true, // a resumed session would go on with the old certificate
		},
	}
	// A review needs HTTP/1.1 and no more; without HTTP/2 there are no floods of its own kind.
	reviews.Protocols = new(http.Protocols)
	reviews.Protocols.SetHTTP1(true)
	probes = &http.Server{Handler: w.probes()}
	for _, server := range []*http.Server{reviews, probes} {
		server.ReadHeaderTimeout = readHeaderTimeout
		server.ReadTimeout = readTimeout
		server.WriteTimeout = writeTimeout
		server.IdleTimeout = idleTimeout
		server.MaxHeaderBytes = maxHeaderBytes
		server.ErrorLog = slog.NewLogLogger(w.options.Log.Handler(), slog.LevelDebug)
	}
	return reviews, probes
}

// Run answers reviews on l, and probes on health, both of which it closes, until ctx ends or, in good order,
// Quit is called.
func (w *webhook) Run(ctx context.Context, l, health net.Listener) error {
	reviews, probes := w.servers()
	running, stop := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return served(reviews.ServeTLS(l, "", "")) })
	group.Go(func() error { return served(probes.Serve(health)) })
	group.Go(func() error { w.directory.Run(running); return nil })
	group.Go(func() error {
		defer stop() // the caches
		defer probes.Close()
		defer reviews.Close()
		select {
		case <-running.Done():
			return nil
		case <-w.quit:
		}
		w.draining.Store(true)
		w.options.Log.Info("shutting down", "drain", w.options.Drain.String())
		select {
		case <-running.Done():
			return nil
		case <-time.After(w.options.Drain):
		}
		late, cancel := context.WithTimeout(running, shutdownTimeout)
		defer cancel()
		if err := reviews.Shutdown(late); err != nil {
			w.options.Log.Warn("reviews were cut off", "err", err)
		}
		return nil
	})
	return group.Wait()
}

// served is why a server ended, unless it was told to.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// probes answers the kubelet and whoever collects metrics. It shows no secret.
func (w *webhook) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(rw http.ResponseWriter, _ *http.Request) { answerProbe(rw, nil) })
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, _ *http.Request) { answerProbe(rw, w.unready()) })
	mux.HandleFunc("GET /metrics", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.meters.write(rw)
	})
	return mux
}

// unready says what is missing; nil: nothing is.
func (w *webhook) unready() error {
	if w.draining.Load() {
		return errors.New("wisp-webhook is shutting down")
	}
	if !w.directory.synced() {
		return errors.New("the ServiceAccounts and Namespaces are not known yet")
	}
	_, err := w.pair.current()
	return err
}

func answerProbe(rw http.ResponseWriter, err error) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	if err != nil {
		rw.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(rw, err)
		return
	}
	fmt.Fprintln(rw, "ok")
}
