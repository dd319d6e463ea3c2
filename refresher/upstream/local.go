package upstream

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
)

// Local returns a Transport for the services that say who a workload is: besides https it permits
// http to this machine and to the metadata services on its link, as clouds offer them. Such requests
// never go through a proxy, and what they connect to is checked once more after a name is resolved, so
// that no resolver can lead a secret out of the machine. It shares everything else with t.
func (t *Transport) Local() *Transport {
	local := *t
	local.local = true
	return &local
}

// nearbyNames are what may stand for a nearby address: what they mean is checked when dialing.
var nearbyNames = []string{"localhost", "metadata.google.internal", "metadata"}

// fdEC2 is where AWS has its metadata services in IPv6: fd00:ec2::254 and fd00:ec2::23.
var fdEC2 = netip.MustParsePrefix("fd00:ec2::/64")

// isNearby tells whether host is an address that no router forwards: one of the loopback interface, or
// of the link, where the clouds' metadata services are (169.254.169.254, 169.254.170.2, 169.254.170.23).
func isNearby(host string) bool {
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return err == nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast() || fdEC2.Contains(ip))
}

// nearbyTransport refuses to connect to anything that is not nearby, whatever name led there.
func nearbyTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{
		Timeout: dialTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			host, _, err := net.SplitHostPort(address)
			if err == nil && !isNearby(host) {
				err = fmt.Errorf("%s is neither of this machine nor of its link", host)
			}
			return err
		},
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    2,
		Protocols:              &protocols,
		DisableCompression:     true,
	}
}
