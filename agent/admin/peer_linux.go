package admin

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID is the user who called connect, by the kernel's word (unix(7), SO_PEERCRED).
func peerUID(conn *net.UnixConn) (uid int, err error) {
	err = control(conn, func(fd int) error {
		peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			uid = int(peer.Uid)
		}
		return err
	})
	return uid, err
}
