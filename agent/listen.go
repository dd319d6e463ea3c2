package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/wisp-sidecar/wisp/endpoints"
)

const (
	defaultListen = "127.0.0.1:9911"
	defaultHealth = "127.0.0.1:9910"

	off = "off" // turns a listener off
)

// A server is one listener and the outlets that share it.
type server struct {
	address   netip.AddrPort
	protocols []*endpoints.Protocol
	server    *endpoints.Server
	listener  net.Listener
}

// A BindError is a listener that cannot be opened: the port is taken, or the address is not ours.
type BindError struct {
	Address string
	Err     error
}

// Error says which address, and why.
func (e *BindError) Error() string { return fmt.Sprintf("listen on %s: %v", e.Address, e.Err) }

// Unwrap returns the cause.
func (e *BindError) Unwrap() error { return e.Err }

// outlets makes the outlets of the configuration, those with equal addresses on one server.
func (a *Agent) outlets(p *problems, byName map[string]*runningIdentity) {
	for n := range a.config.Outlets {
		c := &a.config.Outlets[n]
		path := c.path(n)
		var identities []outletIdentity
		required := false
		for _, name := range c.names() {
			i := byName[name]
			required = required || i.required
			identities = append(identities, outletIdentity{name: name, identity: i.identity, exchange: i.exchange, config: a.config.path})
		}
		switch outlet := c.Outlet.Options.(type) {
		case httpOutlet:
			secret, err := a.config.secret(outlet.secret())
			if err != nil {
				p.at(path, "%v", err)
				continue
			}
			if a.onNode && !outlet.guarded() {
				p.at(path, "answers without a secret, and with hostNetwork everything on the node could use it: use an outlet with a secret, or give the Pod a network of its own")
				continue
			}
			protocol, err := outlet.protocol(identities, secret, a.log.With("outlet", c.Outlet.Kind))
			if err != nil {
				p.at(path, "%v", err)
				continue
			}
			a.servers = addProtocol(p, path, a.servers, outlet.listen(), protocol, endpoints.ServerOptions{OnAnswer: a.answered, Log: a.log})
		case writerOutlet:
			w, err := outlet.writer(identities[0], a.log.With("outlet", c.Outlet.Kind, "identity", identities[0].name))
			if err != nil {
				p.at(path, "%v", err)
				continue
			}
			a.writers = append(a.writers, &runningWriter{writer: w, path: path, required: required})
		}
	}
}

// addProtocol puts a protocol on the server of its address, which may be a new one.
func addProtocol(p *problems, path string, servers []*server, listen string, protocol *endpoints.Protocol, o endpoints.ServerOptions) []*server {
	address, err := loopback(listen)
	if err != nil {
		p.at(path+".listen", "%v", err)
		return servers
	}
	var at *server
	for _, s := range servers {
		if s.address == address {
			at = s
		}
	}
	if at == nil {
		at = &server{address: address}
		servers = append(servers, at)
	}
	o.Protocols = append(slices.Clone(at.protocols), protocol)
	shared, err := endpoints.NewServer(o)
	if err != nil {
		p.at(path, "%v", err)
		return servers
	}
	at.server, at.protocols = shared, o.Protocols
	return servers
}

// loopback parses the address of an outlet: a loopback address, or one of the link where metadata services
// are, which has to be on the loopback interface when it is bound. Names are not resolved: what localhost
// means is up to a file that others write.
func loopback(listen string) (netip.AddrPort, error) {
	if listen == "" {
		listen = defaultListen
	}
	address, err := netip.ParseAddrPort(listen)
	switch {
	case err != nil || address.Port() == 0:
		return address, fmt.Errorf("must be an IP address and a port such as %s, not %q", defaultListen, listen)
	case !address.Addr().IsLoopback() && !endpoints.IsLinkLocal(address.Addr()):
		return address, fmt.Errorf("%s is not a loopback address: anybody who reaches it could take the credentials", address.Addr())
	}
	return address, nil
}

// bind opens all listeners, or none. Those for probes and for wisp's own commands are nil if they are
// turned off.
func (a *Agent) bind(ctx context.Context) (health, control net.Listener, err error) {
	var opened []net.Listener
	open := func(address string, listen func() (net.Listener, error)) (net.Listener, error) {
		l, err := listen()
		if err == nil {
			if l != nil {
				opened = append(opened, l)
			}
			return l, nil
		}
		for _, l := range opened {
			_ = l.Close()
		}
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // without the address, which is told already
		}
		return nil, &BindError{Address: address, Err: err}
	}
	for _, s := range a.servers {
		s.listener, err = open(s.address.String(), func() (net.Listener, error) { return endpoints.Listen(ctx, s.address) })
		if err != nil {
			return nil, nil, err
		}
	}
	if address := a.config.Health.address(); address != "" {
		var config net.ListenConfig
		health, err = open(address, func() (net.Listener, error) { return config.Listen(ctx, "tcp", address) })
		if err != nil {
			return nil, nil, err
		}
	}
	control, err = open(a.config.AdminSocket(), func() (net.Listener, error) { return a.listenAdmin(ctx) })
	return health, control, err
}

// address is where probes are answered; empty if they are turned off.
func (c *HealthConfig) address() string {
	switch c.Listen {
	case "":
		return defaultHealth
	case off:
		return ""
	}
	return c.Listen
}
