package agent

import (
	"maps"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// foreign is the environment without the variables that lead to the outlets of this configuration:
// wisp often runs with the environment of the application that it serves, and would ask itself.
func (c *Config) foreign(getenv func(string) string) func(string) string {
	if getenv == nil {
		getenv = os.Getenv
	}
	own := c.ownAddresses()
	return func(name string) string {
		value := getenv(name)
		if address, ok := addressIn(value); ok && own[address] {
			return ""
		}
		return value
	}
}

// ownAddresses are those of the HTTP outlets.
func (c *Config) ownAddresses() map[netip.AddrPort]bool {
	own := maps.Clone(c.dropped)
	for n := range c.Outlets {
		if outlet, ok := c.Outlets[n].Outlet.Options.(httpOutlet); ok {
			if address, err := loopback(outlet.listen()); err == nil {
				if own == nil {
					own = map[netip.AddrPort]bool{}
				}
				own[address] = true
			}
		}
	}
	return own
}

// addressIn finds the address in a variable's value: a URL, or only host and port.
func addressIn(value string) (netip.AddrPort, bool) {
	host := value
	if u, err := url.Parse(value); err == nil && u.Host != "" {
		if host = u.Host; u.Port() == "" {
			host += ":80" // where the outlets at link-local addresses are
		}
	}
	host = strings.Replace(host, "localhost:", "127.0.0.1:", 1)
	address, err := netip.ParseAddrPort(host)
	return address, err == nil
}
