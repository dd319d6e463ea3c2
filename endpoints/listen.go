package endpoints

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Listen binds addr for loopback callers only. Names are not resolved, and an address that is not
// loopback is refused; those of [IsLinkLocal] are loopback where the loopback interface has them.
// Connections from elsewhere, which a routing rule of the node can let through (CVE-2020-8558), and those
// past the cap of 1024 are closed without an answer. On Linux no packet of the listener passes a router.
//
// Port 0 takes any free port; see the listener's Addr.
func Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	switch ip := addr.Addr(); {
	case IsLinkLocal(ip):
		on, err := OnLoopback(ip)
		if err == nil && !on {
			err = fmt.Errorf("the loopback interface does not have the address %s: let an init container run wisp link-local first", ip)
		}
		if err != nil {
			return nil, err
		}
	case !ip.IsLoopback():
		return nil, fmt.Errorf("listen on %s: not a loopback address", addr)
	}
	config := net.ListenConfig{Control: oneHop}
	l, err := config.Listen(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return &loopbackListener{Listener: l, places: make(chan struct{}, maxConnections)}, nil
}

type loopbackListener struct {
	net.Listener
	places chan struct{}
}

func (l *loopbackListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !fromHere(conn) {
			_ = conn.Close()
			continue
		}
		select {
		case l.places <- struct{}{}:
			return &placedConn{Conn: conn, leave: func() { <-l.places }}, nil
		default:
			_ = conn.Close()
		}
	}
}

// fromHere: the peer is on this machine. A peer with the listener's own address is, too: that is how
// callers of an address that was added to the loopback interface appear. Nobody else can: the kernel drops
// packets that come from outside and claim to be from here, and answers would not leave this machine.
func fromHere(conn net.Conn) bool {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	return ok && (remote.IP.IsLoopback() || remote.IP.Equal(local.IP))
}

// placedConn gives its place back when it is closed, once.
type placedConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *placedConn) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

// CloseWrite ends what is sent. net/http looks for it, so that a client that is still sending sees the
// end of its refusal, and not a reset.
func (c *placedConn) CloseWrite() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}
