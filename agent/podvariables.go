package agent

import (
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/agent/admin"
)

// The variables of whoever puts wisp into a Pod. They say what is true of the Pod, whatever wisp's own
// configuration is.
const (
	podIPVariable      = "WISP_POD_IP"
	healthPortVariable = "WISP_HEALTH_PORT"
	sharedVariable     = "WISP_SHARED"
	logLevelVariable   = "WISP_LOG_LEVEL"
	drainMinVariable   = "WISP_DRAIN_MIN"
)

// complete fills in what the document leaves open: first from the variables of the Pod, which get
// returns, and then what follows from shared. A nil get stands for no variables.
func (c *Config) complete(p *problems, get func(name string) string) {
	said := func(path string) bool {
		_, there := p.lines[path]
		return there
	}
	variable := func(name, path string) string {
		if get == nil || said(path) {
			return ""
		}
		return get(name)
	}
	if text := variable(healthPortVariable, "health.listen"); text != "" {
		c.Health.Listen = podAddress(p, text, get(podIPVariable))
		if !said("health.readiness") {
			// The Pod would leave its Services together with a sidecar that is not ready.
			c.Health.Readiness = readinessLenient
		}
	}
	if path := variable(sharedVariable, "shared"); path != "" {
		if why := checkShared(path); why != "" {
			p.add(0, sharedVariable, "%s", why)
		} else {
			c.Shared = path
		}
	}
	if level := variable(logLevelVariable, "log.level"); level != "" {
		if why := unlike(level, logLevels); why != "" {
			p.add(0, logLevelVariable, "%s", why)
		} else {
			c.Log.Level = level
		}
	}
	if text := variable(drainMinVariable, "drain.min"); text != "" {
		least, err := time.ParseDuration(text)
		switch {
		case err != nil || least < 0:
			p.add(0, drainMinVariable, `must be a duration such as "5s", not %q`, text)
		case least > c.Drain.most():
			p.add(0, drainMinVariable, "is more than drain.max, %v", c.Drain.most())
		default:
			c.Drain.Min = least
		}
	}
	if c.Shared == "" || checkShared(c.Shared) != "" {
		return
	}
	c.Shared = filepath.Clean(c.Shared)
	if !said("admin.socket") {
		c.Admin.Socket = filepath.Join(c.Shared, admin.SocketName)
		c.Admin.Anyone = c.Admin.Anyone || !said("admin.anyone") && !said("admin.uids")
	}
}

// podAddress is where the kubelet asks for probes: the Pod's address or, if nobody says which that is,
// all addresses.
func podAddress(p *problems, port, ip string) string {
	number, why := parsePort(port)
	if why != "" {
		p.add(0, healthPortVariable, "%s", why)
		return ""
	}
	address := netip.IPv4Unspecified() // which is both families' for package net
	if ip != "" {
		var err error
		if address, err = netip.ParseAddr(ip); err != nil {
			p.add(0, podIPVariable, "must be an IP address, not %q", ip)
			return ""
		}
	}
	return netip.AddrPortFrom(address, number).String()
}

// parsePort reads a variable with a port, or says what is wrong with it.
func parsePort(text string) (port uint16, why string) {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 {
		return 0, "must be a port from 1 to 65535, not " + strconv.Quote(text)
	}
	return uint16(number), ""
}

// checkShared says what is wrong with the path of the shared directory; empty if nothing is.
func checkShared(path string) string {
	if !filepath.IsAbs(path) || filepath.Clean(path) == "/" {
		return "must be the absolute path of a directory, and not the root"
	}
	return ""
}

// isShared reports whether a file is below the shared directory.
func (c *Config) isShared(path string) bool {
	return c.Shared != "" && strings.HasPrefix(filepath.Clean(path), c.Shared+"/")
}
