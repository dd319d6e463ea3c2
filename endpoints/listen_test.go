package endpoints_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
)

func TestListenTakesLoopbackAddressesOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "10.0.0.1:0", "169.254.1.2:0", "[::ffff:169.254.169.254]:0", "[fe80::1]:0", "[::ffff:10.0.0.1]:0"} {
		l, err := endpoints.Listen(t.Context(), netip.MustParseAddrPort(addr))
		if err == nil {
			_ = l.Close()
			t.Errorf("Listen(%s) succeeded", addr)
			continue
		}
		if !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "not a loopback address") {
			t.Errorf("Listen(%s) = %v, want the address and the reason", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.2:0", "[::ffff:127.0.0.1]:0"} {
		l, err := endpoints.Listen(t.Context(), netip.MustParseAddrPort(addr))
		if err != nil {
			t.Errorf("Listen(%s): %v", addr, err)
			continue
		}
		_ = l.Close()
	}
}

func TestListenOnATakenPort(t *testing.T) {
	first, err := endpoints.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := endpoints.Listen(t.Context(), netip.MustParseAddrPort(first.Addr().String()))
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen(%s) = %v, %v, want EADDRINUSE", first.Addr(), second, err)
	}
}

// strangers is a listener that hands out connections from anywhere.
type strangers []*stranger

type stranger struct {
	net.Conn
	remote, local net.Addr
	closed        bool
}

func (s *stranger) RemoteAddr() net.Addr { return s.remote }
func (s *stranger) LocalAddr() net.Addr  { return s.local }
func (s *stranger) Close() error         { s.closed = true; return nil }

func (s *strangers) Accept() (net.Conn, error) {
	if len(*s) == 0 {
		return nil, io.EOF
	}
	next := (*s)[0]
	*s = (*s)[1:]
	return next, nil
}

func (*strangers) Close() error   { return nil }
func (*strangers) Addr() net.Addr { return nil }

func TestListenerClosesConnectionsFromElsewhere(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	tests := []struct {
		name          string
		remote, local net.Addr
		want          bool
	}{
		{"loopback to loopback", tcp("127.0.0.1"), tcp("127.0.0.1"), true},
		{"another loopback address", tcp("127.0.0.53"), tcp("127.0.0.1"), true},
		{"IPv6", tcp("::1"), tcp("::1"), true},
		{"IPv4 in IPv6", tcp("::ffff:127.0.0.1"), tcp("::1"), true},
		{"an address added to the loopback interface, from itself", tcp("169.254.169.254"), tcp("169.254.169.254"), true},
		{"routed from the local network", tcp("10.0.0.7"), tcp("127.0.0.1"), false},
		{"routed from a link-local neighbour", tcp("169.254.1.2"), tcp("169.254.169.254"), false},
		{"IPv6 from elsewhere", tcp("2001:db8::1"), tcp("::1"), false},
		{"not TCP", &net.UnixAddr{}, tcp("127.0.0.1"), false},
		{"no address", nil, tcp("127.0.0.1"), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := &stranger{remote: test.remote, local: test.local}
			_, err := endpoints.Loopback(&strangers{conn}, 1).Accept()
			if admitted := err == nil; admitted != test.want || conn.closed == test.want {
				t.Errorf("admitted = %v, closed = %v, want admitted %v", admitted, conn.closed, test.want)
			}
		})
	}
}

func TestListenerClosesConnectionsPastItsCap(t *testing.T) {
	tcp := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	conns := make([]*stranger, 6)
	for i := range conns {
		conns[i] = &stranger{remote: tcp, local: tcp}
	}
	waiting := strangers(conns)
	l := endpoints.Loopback(&waiting, 2)
	accept := func() net.Conn {
		t.Helper()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first := accept()
	accept()
	_ = first.Close()
	_ = first.Close() // gives back one place, not two
	accept()
	if _, err := l.Accept(); err != io.EOF {
		t.Errorf("with two open connections Accept returned %v, want the listener's end", err)
	}
	for i, closed := range []bool{true, false, false, true, true, true} {
		if conns[i].closed != closed {
			t.Errorf("connection %d: closed = %v, want %v", i, conns[i].closed, closed)
		}
	}
}

func TestListenersConnectionsCanEndTheirAnswer(t *testing.T) {
	l, err := endpoints.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(watchdog))
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := io.WriteString(server, "no"); err != nil {
		t.Fatal(err)
	}
	if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); string(got) != "no" || err != nil {
		t.Errorf("the client reads %q, %v, want no", got, err)
	}
}
