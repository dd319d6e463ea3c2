package agent

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/endpoints"
)

// Update is the flag -update, for the tests inside and outside of the package.
var Update = flag.Bool("update", false, "rewrite the golden files and the tables in docs/configuration.md")

// Health answers what the listener for probes and metrics answers.
func (a *Agent) Health() http.Handler { return a.health() }

// Details writes what Summary leaves out: all options.
func (c *Config) Details(w io.Writer) {
	for _, i := range c.Identities {
		fmt.Fprintf(w, "%s: %+v %+v\n", i.Name, i.Source.Options, i.Exchange.Options)
	}
	for _, o := range c.Outlets {
		fmt.Fprintf(w, "%s: %+v\n", o.Outlet.Kind, reflect.ValueOf(o.Outlet.Options).Elem())
	}
	fmt.Fprintf(w, "upstream: %+v\n", c.Upstream)
}

// Through makes agents of c send all that they send to clouds and sources through base.
func (c *Config) Through(base http.RoundTripper) { c.base = base }

// DropSecrets leaves the outlets of c without a place for their secrets.
func (c *Config) DropSecrets() {
	for n := range c.Outlets {
		switch o := c.Outlets[n].Outlet.Options.(type) {
		case *awsContainerOutlet:
			o.SecretFile, o.SecretEnv = "", ""
		case *appServiceOutlet:
			o.SecretFile, o.SecretEnv = "", ""
		case *subjectTokenOutlet:
			o.SecretFile, o.SecretEnv = "", ""
		case *bearerOutlet:
			o.SecretFile, o.SecretEnv = "", ""
		}
	}
}

// Status is what the admin socket tells.
func (a *Agent) Status() admin.Status { return backend{a}.Status() }

// HTTPKinds are the kinds of outlets that answer HTTP requests.
func HTTPKinds() []string {
	var kinds []string
	for _, kind := range outletKinds {
		if _, ok := kind.new().(httpOutlet); ok {
			kinds = append(kinds, kind.name)
		}
	}
	return kinds
}

// Protocols are those that the outlets of a speak, with all their paths.
func (a *Agent) Protocols() []*endpoints.Protocol {
	var list []*endpoints.Protocol
	for _, s := range a.servers {
		list = append(list, s.protocols...)
	}
	return list
}

// Bypasses are the variables that clients of all clouds believe before what leads to an outlet.
func Bypasses() []string {
	var names []string
	for _, list := range bypasses {
		names = append(names, list...)
	}
	return names
}
