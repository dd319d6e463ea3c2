package endpoints

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	readHeaderTimeout = 2 * time.Second
	readTimeout       = 5 * time.Second
	writeTimeout      = 15 * time.Second // longer than the longest hold
	idleTimeout       = 60 * time.Second
	shutdownTimeout   = 2 * time.Second
	maxHeaderBytes    = 8 << 10
	maxConnections    = 1024 // per listener: a thousand callers may wait for the first credential
)

// ServerOptions configure a [Server].
type ServerOptions struct {
	// Protocols share the server. Two that claim one path are an error.
	Protocols []*Protocol
	// OnAnswer, if not nil, is told of every answer: the protocol's name, "" where the path is nobody's,
	// and the HTTP status. It must be safe for concurrent use.
	OnAnswer func(protocol string, status int)
	// Log gets what the HTTP server complains about. Nil means none.
	Log *slog.Logger
}

// A Server answers the requests of one listener: every request passes the gate, and then the handler
// of the one protocol that owns its path.
type Server struct {
	http *http.Server
}

// NewServer returns a Server, or says which path two protocols both claim.
func NewServer(o ServerOptions) (*Server, error) {
	table, err := newTable(o.Protocols)
	if err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &http.Server{
		Handler:           &gate{table: table, observe: o.OnAnswer, log: log},
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
		// "OPTIONS *" would be answered without passing the gate.
		DisableGeneralOptionsHandler: true,
	}
	s.Protocols.SetHTTP1(true)
	return &Server{http: s}, nil
}

// ServeHTTP answers one request, which must carry its local address in its context
// ([http.LocalAddrContextKey]), as those that net/http serves do.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.http.Handler.ServeHTTP(w, r) }

// Run serves l, which [Listen] returned, until ctx ends; requests under way then get two seconds to
// finish. It closes l.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(late); err != nil {
		_ = s.http.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Serve runs a server that is none of outlets on l, which it closes, until ctx ends, and does not wait for
// requests then.
func Serve(ctx context.Context, server *http.Server, l net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}
