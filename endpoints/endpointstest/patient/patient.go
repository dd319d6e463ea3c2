// Package patient makes servers of tests wait.
package patient

import (
	"net"
	"time"
)

// Listener is l with connections that have all the time in the world: a server's limits of seconds are for callers who mean harm, and a
// busy machine may keep an honest test waiting for longer. What the limits do is tested in virtual time.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn{accepted}, nil
}

type conn struct{ net.Conn }

func (c conn) SetDeadline(t time.Time) error      { return c.Conn.SetDeadline(lift(t)) }
func (c conn) SetReadDeadline(t time.Time) error  { return c.Conn.SetReadDeadline(lift(t)) }
func (c conn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(lift(t)) }

// CloseWrite is looked for by net/http.
func (c conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// lift lifts a limit. A time that was over long ago is none: with it net/http ends a read that is under way.
func lift(t time.Time) time.Time {
	if t.Year() > 1970 {
		return time.Time{}
	}
	return t
}
