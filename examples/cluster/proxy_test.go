package cluster_test

import (
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// A proxy leads to clouds that have no address otherwise.
type proxy struct {
	to   chan net.Conn
	ends <-chan struct{} // closed

	mu    sync.Mutex
	hosts []string // guarded by mu; the ones that were asked for
}

// proxyAddress is where a proxy listens in a Pod.
const proxyAddress = "127.0.0.1:3128"

// serveProxy serves the clouds in a Pod's network behind a proxy only.
func (c *clouds) serveProxy(t *testing.T, listen func(address string) (net.Listener, error)) (*proxy, error) {
	l, err := listen(proxyAddress)
	if err != nil {
		return nil, err
	}
	p := &proxy{to: make(chan net.Conn), ends: t.Context().Done()}
	server := &http.Server{Handler: p}
	go server.Serve(l)
	t.Cleanup(func() { _ = server.Close() })
	c.serveTLS(t, tunnels{l, p})
	return p, nil
}

// ServeHTTP answers CONNECT.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	p.mu.Lock()
	p.hosts = append(p.hosts, r.Host)
	p.mu.Unlock()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = conn.Close()
		return
	}
	select {
	case p.to <- conn:
	case <-p.ends:
		_ = conn.Close()
	}
}

// asked reports whether somebody wanted to go to a host.
func (p *proxy) asked(host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.hosts, host)
}

// tunnels is a listener for what comes through a proxy.
type tunnels struct {
	net.Listener // for its address, and its end
	p            *proxy
}

func (t tunnels) Accept() (net.Conn, error) {
	select {
	case conn := <-t.p.to:
		return conn, nil
	case <-t.p.ends:
		return nil, net.ErrClosed
	}
}
