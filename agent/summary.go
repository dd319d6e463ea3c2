package agent

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/source"
)

// Summary writes what the configuration amounts to, for people.
func (c *Config) Summary(w io.Writer) {
	for n := range c.Identities {
		i := &c.Identities[n]
		optional := ""
		if !i.IsRequired() {
			optional = ", optional"
		}
		on := ""
		if other := i.builtOn(); other != "" {
			on = " on " + other
		}
		fmt.Fprintf(w, "identity %s: %s source%s, %s exchange, yields %s%s\n",
			i.Name, i.Source.Kind, on, i.Exchange.Kind, i.Exchange.Options.yields(), optional)
	}
	for n := range c.Outlets {
		o := &c.Outlets[n]
		where := o.where()
		if http, ok := o.Outlet.Options.(httpOutlet); ok && http.secret() != (secretPlace{}) {
			where += ", secret in " + http.secret().String()
		}
		fmt.Fprintf(w, "outlet %s: %s, %s\n", o.Outlet.Kind, strings.Join(o.names(), ", "), where)
	}
	if address := c.Health.address(); address != "" {
		fmt.Fprintf(w, "probes and metrics: http://%s\n", address)
	}
	if c.Admin.Socket != "" && c.Admin.Socket != off {
		fmt.Fprintf(w, "admin socket: %s\n", c.Admin.Socket)
	}
}

// where says where the outlet is, for people.
func (c *OutletConfig) where() string {
	names, where := c.names(), c.Outlet.Options.String()
	if len(names) == 1 {
		where = strings.Replace(where, anyIdentity, names[0], 1)
	}
	return where
}

// Warnings lists what will not do what its author probably wants, although it is not wrong.
func (c *Config) Warnings() []string {
	var list []string
	for n := range c.Identities {
		i := &c.Identities[n]
		warn := func(format string, args ...any) {
			list = append(list, fmt.Sprintf("identity %s: %s", i.Name, fmt.Sprintf(format, args...)))
		}
		if file, ok := i.Source.Options.(*fileSource); ok {
			if fixed, err := source.SubPath(file.Path); err == nil && fixed {
				warn("%s is mounted with subPath, so it never changes; mount the volume's directory", file.Path)
			}
		}
		if aws, ok := i.Exchange.Options.(*awsExchange); ok && aws.Legacy {
			warn("in the older regions the global STS is asked, as legacy says: it is farther away and fails with us-east-1")
		}
		asked, floor := i.Exchange.Options.lifetime(), i.floor()
		if asked > 0 && asked < 2*floor {
			warn("credentials that live %v are renewed by clients at almost every call; %v or more is better", asked, (2 * floor).Round(time.Minute))
		}
	}
	for n := range c.Outlets {
		if o, ok := c.Outlets[n].Outlet.Options.(*imdsOutlet); ok && o.AllowV1 {
			list = append(list, fmt.Sprintf("outlet imds of %s: allowV1 answers any GET, so a forged request through the application gets the credentials", strings.Join(c.Outlets[n].names(), ", ")))
		}
	}
	if c.Upstream.AllowInsecureLoopback {
		list = append(list, "upstream.allowInsecureLoopback: tokens may travel over http to this machine; only fakes need that")
	}
	return list
}
