package reserve_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/reserve"
)

func TestAddress(t *testing.T) {
	address, release, err := reserve.Address()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if c, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial = %v, %v before anybody listens, want that it is refused", c, err)
	}
	for range 2 { // a server, and the one after it
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := net.Listen("tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Listen = %v, %v where somebody listens", other, err)
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for _, end := range []func() error{s.Close, c.Close, l.Close} {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	}
	release()
	release()
}

// What the system gives to one who asks for any address, or who dials, it binds as this test does: without SO_REUSEADDR.
func TestAddressIsKept(t *testing.T) {
	address, release, err := reserve.Address()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	at := netip.MustParseAddrPort(address)
	bind := func() error {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		return syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	}
	if err := bind(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("bind = %v while the address is reserved, want %v", err, syscall.EADDRINUSE)
	}
}
