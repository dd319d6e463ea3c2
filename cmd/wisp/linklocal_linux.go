package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// configure gives an interface addresses of its own, and brings it up if it is down.
func configure(lo *net.Interface, addresses []netip.Addr) error {
	up := lo.Flags&net.FlagUp != 0
	if up && len(addresses) == 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("open a netlink socket", err)
	}
	defer unix.Close(fd)
	for _, ip := range addresses {
		// What somebody has added meanwhile is there, too.
		if err := askKernel(fd, newAddress(lo.Index, ip)); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("give %s the address %s: %w", lo.Name, ip, err)
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
func newAddress(index int, ip netip.Addr) []byte {
	m := netlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	m = append(m, unix.AF_INET, uint8(ip.BitLen()), 0, unix.RT_SCOPE_HOST) // struct ifaddrmsg
	m = binary.NativeEndian.AppendUint32(m, uint32(index))
	for _, attribute := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		m = binary.NativeEndian.AppendUint16(m, unix.SizeofRtAttr+4)
		m = binary.NativeEndian.AppendUint16(m, attribute)
		m = append(m, ip.AsSlice()...)
	}
	return m
}

// linkUp is a request to bring an interface up.
func linkUp(index int) []byte {
	m := netlinkRequest(unix.RTM_NEWLINK, 0)
	m = append(m, unix.AF_UNSPEC, 0, 0, 0) // struct ifinfomsg
	m = binary.NativeEndian.AppendUint32(m, uint32(index))
	m = binary.NativeEndian.AppendUint32(m, unix.IFF_UP)
	return binary.NativeEndian.AppendUint32(m, unix.IFF_UP) // what changes
}

// netlinkRequest is the header of a message, whose length is not known yet (struct nlmsghdr).
func netlinkRequest(kind, flags uint16) []byte {
	m := make([]byte, 4, 64)
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	return append(m, make([]byte, 8)...)
}

// askKernel sends a message and waits for what the kernel says to it.
func askKernel(fd int, m []byte) error {
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("send", err)
	}
	reply := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil {
		return os.NewSyscallError("receive", err)
	}
	return verdict(reply[:n])
}

// verdict is the error that a message of the kernel holds (struct nlmsgerr); nil for an acknowledgement.
func verdict(reply []byte) error {
	if len(reply) < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(reply[4:]) != unix.NLMSG_ERROR {
		return errors.New("the kernel's answer makes no sense")
	}
	switch errno := unix.Errno(-int32(binary.NativeEndian.Uint32(reply[unix.SizeofNlMsghdr:]))); errno {
	case 0:
		return nil
	case unix.EPERM:
		return fmt.Errorf("%w: this needs the capability NET_ADMIN", errno)
	default:
		return errno
	}
}
