package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// configure gives an interface addresses of its own, and brings it up if it is down.
func configure(lo *net.Interface, addresses [][4]byte) error {
	up := lo.Flags&net.FlagUp != 0
	if up && len(addresses) == 0 {
		return nil
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	defer syscall.Close(fd)
	for _, ip := range addresses {
		// What somebody has added meanwhile is there, too.
		if err := askKernel(fd, newAddress(lo.Index, ip)); err != nil && !errors.Is(err, syscall.EEXIST) {
			return fmt.Errorf("give %s the address %v: %w", lo.Name, net.IP(ip[:]), err)
		}
	}
	if up {
		return nil
	}
	if err := askKernel(fd, linkUp(lo.Index)); err != nil {
		return fmt.Errorf("bring %s up: %w", lo.Name, err)
	}
	return nil
}

// newAddress is a request for an IPv4 address with all its bits as prefix. Its scope is the host, as that of
// 127.0.0.1: the kernel does not take it for what is sent elsewhere.
//
// https://man7.org/linux/man-pages/man7/rtnetlink.7.html
func newAddress(index int, ip [4]byte) []byte {
	body := []byte{syscall.AF_INET, 32, 0, syscall.RT_SCOPE_HOST} // struct ifaddrmsg
	body = binary.NativeEndian.AppendUint32(body, uint32(index))
	for _, attribute := range []uint16{syscall.IFA_LOCAL, syscall.IFA_ADDRESS} {
		body = binary.NativeEndian.AppendUint16(body, syscall.SizeofRtAttr+4)
		body = binary.NativeEndian.AppendUint16(body, attribute)
		body = append(body, ip[:]...)
	}
	return netlinkRequest(syscall.RTM_NEWADDR, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, body)
}

// linkUp is a request to bring an interface up.
func linkUp(index int) []byte {
	body := []byte{syscall.AF_UNSPEC, 0, 0, 0}                                     // struct ifinfomsg
	for _, word := range []uint32{uint32(index), syscall.IFF_UP, syscall.IFF_UP} { // the flags, and which of them change
		body = binary.NativeEndian.AppendUint32(body, word)
	}
	return netlinkRequest(syscall.RTM_NEWLINK, 0, body)
}

// netlinkRequest puts the header before a message (struct nlmsghdr).
func netlinkRequest(kind, flags uint16, body []byte) []byte {
	m := binary.NativeEndian.AppendUint32(nil, uint32(syscall.SizeofNlMsghdr+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK|flags)
	m = append(m, make([]byte, 8)...) // number and sender, which are for those who send more than one
	return append(m, body...)
}

// askKernel sends a message and waits for what the kernel says to it.
func askKernel(fd int, m []byte) error {
	// The other end is the kernel unless one says otherwise.
	if _, err := syscall.Write(fd, m); err != nil {
		return err
	}
	reply := make([]byte, 4096)
	n, err := syscall.Read(fd, reply)
	if err != nil {
		return err
	}
	return verdict(reply[:n])
}

// verdict is the error that a message of the kernel holds (struct nlmsgerr); nil for an acknowledgement.
func verdict(reply []byte) error {
	if len(reply) < syscall.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(reply[4:]) != syscall.NLMSG_ERROR {
		return errors.New("the kernel's answer makes no sense")
	}
	switch errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(reply[syscall.SizeofNlMsghdr:]))); errno {
	case 0:
		return nil
	case syscall.EPERM:
		return fmt.Errorf("%w: this needs the capability NET_ADMIN", errno)
	default:
		return errno
	}
}
