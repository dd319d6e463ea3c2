package admin

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID is the user who called connect, by the kernel's word (unix(4), LOCAL_PEERCRED).
func peerUID(conn *net.UnixConn) (uid int, err error) {
	err = control(conn, func(fd int) error {
		peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err == nil {
			uid = int(peer.Uid)
		}
		return err
	})
	return uid, err
}
