//go:build !linux

package reserve

import "net"

// Address returns an address of 127.0.0.1, with its port, that was free a moment ago: here no two sockets can be bound
// to one.
func Address() (address string, release func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return l.Addr().String(), func() {}, l.Close()
}
