package agent

import (
	"fmt"
	"io"
	"strings"
	"time"
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
			if c.isShared(http.secret().file) {
				where += " (mode 0444)"
			}
		}
		fmt.Fprintf(w, "outlet %s: %s, %s\n", o.Outlet.Kind, strings.Join(o.names(), ", "), where)
	}
	if address := c.Health.address(); address != "" {
		fmt.Fprintf(w, "probes and metrics: http://%s", address)
		if c.Health.Readiness == readinessLenient {
			fmt.Fprint(w, ", lenient readiness")
		}
		fmt.Fprintln(w)
	}
	if c.Admin.Socket != "" && c.Admin.Socket != off {
		fmt.Fprintf(w, "admin socket: %s", c.Admin.Socket)
		if c.Admin.Anyone {
			fmt.Fprint(w, ", for anyone who can reach it")
		}
		fmt.Fprintln(w)
	}
	if c.Log.Level != "" {
		fmt.Fprintf(w, "log level: %s\n", c.Log.Level)
	}
	if c.Drain.Min != 0 {
		fmt.Fprintf(w, "drain: at least %v\n", c.Drain.Min)
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
		warn := func(warning string) { list = append(list, fmt.Sprintf("identity %s: %s", i.Name, warning)) }
		for _, options := range []any{i.Source.Options, i.Exchange.Options} {
			if w, ok := options.(warner); ok && w.warning() != "" {
				warn(w.warning())
			}
		}
		asked, floor := i.Exchange.Options.lifetime(), i.floor()
		if asked > 0 && asked < 2*floor {
			warn(fmt.Sprintf("credentials that live %v are renewed by clients at almost every call; %v or more is better", asked, (2 * floor).Round(time.Minute)))
		}
	}
	for n := range c.Outlets {
		o := &c.Outlets[n]
		if w, ok := o.Outlet.Options.(warner); ok && w.warning() != "" {
			list = append(list, fmt.Sprintf("outlet %s of %s: %s", o.Outlet.Kind, strings.Join(o.names(), ", "), w.warning()))
		}
	}
	if c.Upstream.AllowInsecureLoopback {
		list = append(list, "upstream.allowInsecureLoopback: tokens may travel over http to this machine; only fakes need that")
	}
	return list
}
