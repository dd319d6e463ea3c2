package agent

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

var identityName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// check reports what decoding cannot see: missing and contradictory values, and outlets that cannot
// show what their identities yield.
func (c *Config) check(p *problems) {
	if len(c.Identities) == 0 {
		p.at("identities", "must name at least one identity")
	}
	transport, err := c.transport()
	if err != nil {
		p.at("upstream.caFile", "%v", err)
		// The rest of the document can be checked all the same.
		transport, _ = upstream.New(upstream.Options{AllowInsecureLoopback: c.Upstream.AllowInsecureLoopback})
	}
	byName := map[string]*IdentityConfig{}
	for n := range c.Identities {
		i := &c.Identities[n]
		path := fmt.Sprintf("identities[%d]", n)
		i.check(p, path, transport)
		if _, taken := byName[i.Name]; taken && i.Name != "" {
			p.at(path+".name", "%q is the name of two identities", i.Name)
		}
		byName[i.Name] = i
	}
	c.join(p, byName, transport)
	for n := range c.Identities {
		c.Identities[n].checkPair(p, fmt.Sprintf("identities[%d]", n))
	}
	writtenBy := map[string]string{}
	for n := range c.Outlets {
		path := fmt.Sprintf("outlets[%d]", n)
		c.Outlets[n].check(p, path, byName, transport)
		if file, ok := c.Outlets[n].Outlet.Options.(*fileOutlet); ok && file.Path != "" {
			if other, taken := writtenBy[file.Path]; taken {
				p.at(path+".file.path", "%s writes this file, too", other)
			}
			writtenBy[file.Path] = path
			if file.Format == "awsConfig" && len(c.Outlets[n].names()) == 1 {
				if err := formatOptions(c.Outlets[n].names()[0], nil, c.path).Process.Check(); err != nil {
					p.at(path+".file.format", "%v", err)
				}
			}
		}
	}
	c.checkListeners(p, byName)
	c.checkSettings(p)
}

func (c *IdentityConfig) check(p *problems, path string, transport *upstream.Transport) {
	switch {
	case c.Name == "":
		p.at(path+".name", "is missing")
	case len(c.Name) > 64 || !identityName.MatchString(c.Name):
		p.at(path+".name", "must be 1 to 64 lower-case letters, digits and hyphens, not %q", c.Name)
	}
	p.choice(path+".source", c.Source.Kind)
	p.choice(path+".exchange", c.Exchange.Kind)
	if c.Source.Options != nil {
		p.fields(path+".source."+c.Source.Kind, c.Source.Options.check(c.Exchange.Options, transport))
	}
	if c.Exchange.Options == nil {
		return
	}
	p.fields(path+".exchange."+c.Exchange.Kind, c.Exchange.Options.check(transport))
	yields := c.Exchange.Options.yields()
	for _, list := range []struct {
		name   string
		values []string
		fits   bool
	}{{"scopes", c.Scopes, yields.scoped()}, {"audiences", c.Audiences, yields.scoped() || yields == subjectToken}, {"resources", c.Resources, yields == entraBearer}} {
		if len(list.values) > 0 && !list.fits {
			p.at(path+"."+list.name, "has no meaning for an identity that yields %s", yields)
		}
	}
}

// checkPair reports a source whose tokens the exchange does not take.
func (c *IdentityConfig) checkPair(p *problems, path string) {
	from, x := c.Source.Options, c.Exchange.Options
	if from == nil || x == nil || from.tokenType() == "" || x.takes(from.tokenType()) {
		return
	}
	p.at(path+".exchange."+c.Exchange.Kind, "does not take the tokens of this source, which are of type %s", shortType(from.tokenType()))
}

// mayAsk reports a target that the identity's own lists forbid.
func (c *IdentityConfig) mayAsk(t refresher.Target, transport *upstream.Transport) error {
	exchanger, err := c.Exchange.Options.exchanger(surroundings{transport: transport})
	if err != nil || t == (refresher.Target{}) {
		return nil // what is wrong with the exchange is reported where it stands
	}
	return c.allow(t, usualTarget(exchanger))
}

func (c *OutletConfig) check(p *problems, path string, byName map[string]*IdentityConfig, transport *upstream.Transport) {
	names, where := c.names(), path+".identities"
	switch {
	case c.Identity != "" && len(c.Identities) > 0:
		p.at(path+".identities", "is set besides identity; one of them is enough")
	case c.Identity != "":
		where = path + ".identity"
	case len(names) == 0:
		p.at(path, "names no identity")
	}
	options := c.Outlet.Options
	if options == nil {
		return
	}
	if _, http := options.(httpOutlet); !http && len(names) > 1 {
		p.at(where, "a %s outlet shows one identity", c.Outlet.Kind)
	}
	p.fields(path+"."+c.Outlet.Kind, options.check())
	for n, name := range names {
		at := where
		if c.Identity == "" {
			at = fmt.Sprintf("%s[%d]", where, n)
		}
		identity, known := byName[name]
		switch {
		case !known:
			p.at(at, "there is no identity %q", name)
		case slices.Contains(names[:n], name):
			p.at(at, "%q is named twice", name)
		case identity.Exchange.Options != nil:
			if why := options.accepts(identity.Exchange.Options.yields()); why != "" {
				p.at(at, "%q yields %s; %s", name, identity.Exchange.Options.yields(), why)
			} else if file, ok := options.(*fileOutlet); ok {
				if err := identity.mayAsk(file.options(format.Options{}).Target, transport); err != nil {
					p.at(path+".file", "%v: add it to the list of identity %q", err, name)
				}
			}
		}
	}
}

// fits reports whether the outlet can show all of its identities.
func (c *OutletConfig) fits(byName map[string]*IdentityConfig) bool {
	for _, name := range c.names() {
		identity, known := byName[name]
		if !known || identity.Exchange.Options == nil || c.Outlet.Options.accepts(identity.Exchange.Options.yields()) != "" {
			return false
		}
	}
	return len(c.names()) > 0
}

// checkListeners reports addresses that are not loopback, and outlets that claim one path on one
// listener. It makes the protocols for that, without anything behind them.
func (c *Config) checkListeners(p *problems, byName map[string]*IdentityConfig) {
	var servers []*server
	for n := range c.Outlets {
		o := &c.Outlets[n]
		outlet, ok := o.Outlet.Options.(httpOutlet)
		if !ok {
			continue
		}
		path := o.path(n)
		p.fields(path, outlet.secret().check())
		address, err := loopback(outlet.listen())
		if err != nil {
			p.at(path+".listen", "%v", err)
			continue
		}
		if probes, err := netip.ParseAddrPort(c.Health.address()); err == nil && probes.Port() == address.Port() && (probes.Addr().Unmap() == address.Addr().Unmap() || probes.Addr().IsUnspecified()) {
			p.at(path+".listen", "%s is where probes are answered; they need a listener of their own", address)
			continue
		}
		if !o.fits(byName) {
			continue // there is no protocol of parts that do not go together
		}
		var identities []outletIdentity
		for _, name := range o.names() {
			identities = append(identities, outletIdentity{name: name, exchange: byName[name].Exchange.Options})
		}
		protocol, err := outlet.protocol(identities, "a secret that stands for the real one", nil)
		if err != nil {
			p.at(path, "%v", err)
			continue
		}
		servers = addProtocol(p, path, servers, outlet.listen(), protocol, endpoints.ServerOptions{})
	}
}

func (c *Config) checkSettings(p *problems) {
	if address := c.Health.address(); address != "" {
		if parsed, err := netip.ParseAddrPort(address); err != nil || parsed.Port() == 0 {
			p.at("health.listen", "must be an IP address and a port such as %s, or off", defaultHealth)
		}
	}
	if s := c.Admin.Socket; s != "" && s != off && !filepath.IsAbs(s) {
		p.at("admin.socket", "must be an absolute path, or off")
	}
	for n, uid := range c.Admin.UIDs {
		if uid < 0 {
			p.at(fmt.Sprintf("admin.uids[%d]", n), "must be the numeric id of a user")
		}
	}
	if c.Shared != "" {
		if why := checkShared(c.Shared); why != "" {
			p.at("shared", "%s", why)
		}
	}
	oneOfThese := func(path, value string, known ...string) {
		if why := unlike(value, known); value != "" && why != "" {
			p.at(path, "%s", why)
		}
	}
	oneOfThese("health.readiness", c.Health.Readiness, "strict", readinessLenient)
	oneOfThese("log.level", c.Log.Level, logLevels...)
	oneOfThese("log.format", c.Log.Format, "json", "text")
	if most := c.Drain.most(); c.Drain.Min > most {
		p.at("drain.min", "is more than drain.max, %v", most)
	}
}

var logLevels = []string{"debug", "info", "warn", "error"}

// unlike says that a value is none of those that are known; empty if it is one.
func unlike(value string, known []string) string {
	if slices.Contains(known, value) {
		return ""
	}
	return fmt.Sprintf("must be one of %s, not %q", strings.Join(known, ", "), value)
}

// choice reports a choice that the document leaves out altogether; one without a kind is reported where
// it stands.
func (p *problems) choice(path, kind string) {
	if _, there := p.lines[path]; !there && kind == "" {
		p.at(path, "is missing")
	}
}

// element is how options name the parts of their lists: "scopes.2", "chain.0.roleArn".
var element = regexp.MustCompile(`\.([0-9]+)\b`)

// fields places the problems of options below their path.
func (p *problems) fields(path string, list []refresher.FieldError) {
	for _, e := range list {
		p.at(join(path, element.ReplaceAllString(e.Field, "[$1]")), "%s", e.Problem)
	}
}

func listed(allowed []string, asked, what string) error {
	if len(allowed) == 0 || slices.Contains(allowed, asked) {
		return nil
	}
	return fmt.Errorf("%s %q is not in the configuration", what, asked)
}
