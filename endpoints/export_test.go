package endpoints

import "net"

// Loopback is what Listen returns, around any listener and with fewer places.
func Loopback(l net.Listener, places int) net.Listener {
	return &loopbackListener{Listener: l, places: make(chan struct{}, places)}
}
