package endpoints

import (
	"fmt"
	"net"
	"net/netip"
)

// IsLinkLocal reports whether clients look for a metadata service at this address: that of machines of all clouds,
// those of container services, and both in IPv6. wisp can take its place in a Pod whose loopback
// interface has the address, so that nobody outside of the Pod reaches it.
func IsLinkLocal(ip netip.Addr) bool {
	switch ip.String() {
	case "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23":
		return true
	}
	return false
}

// OnLoopback reports whether the loopback interface has an address. It is an error if another interface
// has it: neighbours can reach what such a one has.
func OnLoopback(ip netip.Addr) (bool, error) {
	all, err := net.Interfaces()
	if err != nil {
		return false, err
	}
	found := false
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			return false, err
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err != nil || prefix.Addr() != ip {
				continue
			}
			if i.Flags&net.FlagLoopback == 0 {
				return false, fmt.Errorf("the interface %s has the address %s, which the loopback interface alone may have", i.Name, ip)
			}
			found = true
		}
	}
	return found, nil
}
