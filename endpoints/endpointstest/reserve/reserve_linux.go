package reserve

import (
	"fmt"
	"os"
	"syscall"
)

// Address returns an address of 127.0.0.1, with its port, that the system gives to nobody else until it is released.
// Until somebody listens there connections are refused. Servers in Go, Java and most others can listen there at any
// time, one after another: they set SO_REUSEADDR, and so does the socket that keeps the address, which is bound and
// does not listen. It is safe for concurrent use, and release may be called more than once.
func Address() (address string, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, os.NewSyscallError("socket", err)
	}
	keeper := os.NewFile(uintptr(fd), "a reserved address")
	release = func() { _ = keeper.Close() } // it holds nothing that could be lost
	bound, err := bind(fd)
	if err != nil {
		release()
		return "", nil, err
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.Port), release, nil
}

// bind has the system choose a port.
func bind(fd int) (*syscall.SockaddrInet4, error) {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	return at.(*syscall.SockaddrInet4), nil
}
