package endpoints_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// What a listener sends, and what its connections do, dies at the first router.
func TestListenersReachNoOtherMachine(t *testing.T) {
	for _, test := range []struct {
		address       string
		level, option int
	}{
		{"127.0.0.1:0", unix.IPPROTO_IP, unix.IP_TTL},
		{"[::ffff:127.0.0.1]:0", unix.IPPROTO_IP, unix.IP_TTL},
		{"[::1]:0", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS},
	} {
		t.Run(test.address, func(t *testing.T) {
			l, err := endpoints.Listen(t.Context(), netip.MustParseAddrPort(test.address))
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
				t.Skipf("this machine has no such address: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			caller, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer caller.Close()
			accepted, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close()
			for name, socket := range map[string]any{"the listener": l, "a connection": accepted} {
				raw, err := endpoints.Bare(socket).SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				hops := 0
				var failed error
				if err := errors.Join(raw.Control(func(fd uintptr) { hops, failed = unix.GetsockoptInt(int(fd), test.level, test.option) }), failed); err != nil {
					t.Fatal(err)
				}
				if hops != 1 {
					t.Errorf("%s: what it sends passes %d routers, want it to end at the first", name, hops-1)
				}
			}
		})
	}
}
