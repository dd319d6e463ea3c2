package endpoints

import (
	"net"
	"syscall"
)

// Loopback is what Listen returns, around any listener and with fewer places.
func Loopback(l net.Listener, places int) net.Listener {
	return &loopbackListener{Listener: l, places: make(chan struct{}, places)}
}

// Bare is the socket within a listener of Listen, or within a connection that it has accepted.
func Bare(socket any) syscall.Conn {
	switch s := socket.(type) {
	case *loopbackListener:
		return s.Listener.(syscall.Conn)
	case *placedConn:
		return s.Conn.(syscall.Conn)
	}
	panic("not of Listen")
}
