package endpoints

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// oneHop keeps the packets of a listener, and those of the connections that it accepts, from passing any
// router. If a rule leads callers elsewhere here, they get no answer. EC2 does the same with the tokens of
// its metadata service, where it is called the hop limit.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
func oneHop(network, _ string, conn syscall.RawConn) error {
	level, option := unix.IPPROTO_IP, unix.IP_TTL
	if strings.HasSuffix(network, "6") {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
		return err
	}
	return failed
}
