package cloudtest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Network is an [http.RoundTripper] that leads to handlers by host name, without a socket, so
// that it works in a testing/synctest bubble: a client that waits for it is durably blocked. Errors are
// of the types and texts that a real transport has. Bodies are not streamed: an answer arrives when
// its handler has returned. It is safe for concurrent use.
type Network struct {
	mu    sync.RWMutex
	hosts map[string]http.Handler // guarded by mu
}

// NewNetwork returns a network without hosts.
func NewNetwork() *Network { return &Network{hosts: make(map[string]http.Handler)} }

// Handle gives a host to a handler, now or while requests are on their way. The host is a
// name, for any port, or "name:port". A nil handler is a host that exists but on which nothing listens.
//
// A handler with a method Refusing() bool, as all fakes have by [Faults], can refuse connections.
func (n *Network) Handle(host string, h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[strings.ToLower(host)] = h
}

// RoundTrip runs the handler for the request's host. A host that was never given to Handle is a
// [net.DNSError], a refused connection is ECONNREFUSED, both in a [net.OpError]; a handler that panics with
// [http.ErrAbortHandler] gives [io.EOF]; the end of the request's context gives its error, at once,
// whatever the handler does.
func (n *Network) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	h, err := n.dial(r)
	if err != nil {
		return nil, err
	}
	incoming, err := receive(r)
	if err != nil {
		return nil, err
	}
	answer := &answer{header: make(http.Header)}
	ended := make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		h.ServeHTTP(answer, incoming)
	}()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case reason := <-ended:
		switch {
		case reason != nil && reason != http.ErrAbortHandler:
			panic(reason)
		case r.Context().Err() != nil:
			return nil, r.Context().Err()
		case reason != nil:
			return nil, io.EOF
		}
		return answer.response(r), nil
	}
}

// dial finds the handler, or the error of a dial.
func (n *Network) dial(r *http.Request) (http.Handler, error) {
	host := strings.ToLower(r.URL.Host)
	name := strings.ToLower(r.URL.Hostname())
	n.mu.RLock()
	h, ok := n.hosts[host]
	if !ok {
		h, ok = n.hosts[name]
	}
	n.mu.RUnlock()
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
			Err: "no such host", Name: name, IsNotFound: true,
		}}
	}
	if refuser, ok := h.(interface{ Refusing() bool }); h == nil || ok && refuser.Refusing() {
		port := 443
		if r.URL.Scheme == "http" {
			port = 80
		}
		if p, err := strconv.Atoi(r.URL.Port()); err == nil {
			port = p
		}
		return nil, &net.OpError{
			Op: "dial", Net: "tcp",
			Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port}, // TEST-NET-1 of RFC 5737
			Err:  os.NewSyscallError("connect", syscall.ECONNREFUSED),
		}
	}
	return h, nil
}

// receive turns a client's request into what a server's handler sees of it.
func receive(r *http.Request) (*http.Request, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	if r.ContentLength > 0 && r.ContentLength != int64(len(body)) {
		return nil, errors.New("http: ContentLength differs from the length of the body")
	}
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.ContentLength = int64(len(body))
	if len(body) > 0 || r.Method == http.MethodPost {
		in.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	in.Header.Del("Host")
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	in.RequestURI = r.URL.RequestURI()
	in.URL.Scheme, in.URL.Host, in.URL.User = "", "", nil
	in.RemoteAddr = "192.0.2.2:49152"
	return in, nil
}

// answer is the http.ResponseWriter of a Network. It is used by the handler's goroutine, and by
// RoundTrip only once that has ended.
type answer struct {
	status int
	header http.Header
	sent   http.Header // header as it was when the status was written
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status, a.sent = status, maps.Clone(a.header)
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

func (a *answer) response(r *http.Request) *http.Response {
	a.WriteHeader(http.StatusOK)
	if a.sent.Get("Date") == "" {
		a.sent.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	length := int64(a.body.Len())
	if a.sent.Get("Content-Length") == "" {
		a.sent.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	if r.Method == http.MethodHead {
		a.body.Reset()
	}
	return &http.Response{
		Status:        strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.sent,
		Body:          io.NopCloser(&a.body),
		ContentLength: length,
		Request:       r,
	}
}
