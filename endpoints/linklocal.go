package endpoints

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// linkLocal are the addresses where clients look for the clouds' metadata services: that of all clouds,
// those of Amazon ECS and of EKS, and EC2's and EKS's in IPv6.
var linkLocal = []netip.Addr{
	netip.AddrFrom4([4]byte{169, 254, 169, 254}),
	netip.AddrFrom4([4]byte{169, 254, 170, 2}),
	netip.AddrFrom4([4]byte{169, 254, 170, 23}),
	netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x54}),
	netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 15: 0x23}),
}

// IsLinkLocal reports whether a metadata service of a cloud has this address. wisp can take its place
// in a Pod whose loopback interface has the address, so that nobody outside of the Pod reaches it.
func IsLinkLocal(ip netip.Addr) bool { return slices.Contains(linkLocal, ip) }

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

var errNotOnLoopback = errors.New("the loopback interface does not have this address: let an init container run wisp link-local first")

func requireLoopback(ip netip.Addr) error {
	on, err := OnLoopback(ip)
	if err == nil && !on {
		return errNotOnLoopback
	}
	return err
}
