package agent

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

const (
	outletsVariable   = "WISP_OUTLETS"
	portVariable      = "WISP_PORT"
	linkLocalVariable = "WISP_LINK_LOCAL"
)

// A detectedOutlet is one that variables alone can configure.
type detectedOutlet interface {
	httpOutlet
	// detect sets what the environment says.
	detect(e *outletEnvironment)
}

// An outletEnvironment is what the environment says of an outlet.
type outletEnvironment struct {
	listen     string // address; empty: the usual one
	secretFile string // where a secret is kept
	shared     bool   // applications find that file, so that every outlet that can have a secret has one
	first      func(variables ...string) string
}

// linkLocalOutlets are where clients ask that cannot be told another address.
var linkLocalOutlets = []struct{ kind, listen string }{
	{"imds", "169.254.169.254:80"},
	{"awsContainer", "169.254.170.2:80"},
	{"gceMetadata", "169.254.169.254:80"},
	{"azureIMDS", "169.254.169.254:80"},
}

// outlets gives each identity its outlets: those of WISP_OUTLETS, else the usual one, and with WISP_LINK_LOCAL
// those at the clouds' own addresses besides.
func (d *detection) outlets() {
	listen := d.listen()
	if wanted := d.wanted(); len(wanted) > 0 {
		for _, kind := range wanted {
			d.outlet(kind, listen)
		}
	} else {
		for n, kind := range d.usual {
			if kind != "" {
				d.show(kind, listen, d.config.Shared != "", n)
			}
		}
	}
	if d.linkLocal() {
		for _, o := range linkLocalOutlets {
			if n := d.accepted(newOutlet(o.kind).Options); n >= 0 {
				d.show(o.kind, o.listen, false, n)
			}
		}
	}
	for n := range d.findings {
		if d.findings[n].Outlet == "" {
			d.findings[n].Outlet = "none, but wisp get " + d.config.Identities[n].Name
		}
	}
}

// wanted are the kinds in WISP_OUTLETS, each once.
func (d *detection) wanted() []string {
	var kinds []string
	for _, kind := range strings.Split(d.env.Get(outletsVariable), ",") {
		if kind = strings.TrimSpace(kind); kind != "" && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// outlet adds the outlet of a kind that WISP_OUTLETS names.
func (d *detection) outlet(kind, listen string) {
	options := newOutlet(kind).Options
	if _, ok := options.(detectedOutlet); !ok {
		var known []string
		for _, k := range outletKinds {
			if _, ok := k.new().(detectedOutlet); ok {
				known = append(known, k.name)
			}
		}
		what := "is not known"
		if options != nil {
			what = "needs a document, which --config names"
		}
		d.problems.add(0, outletsVariable, "%q %s; known here are %s", kind, what, strings.Join(known, ", "))
		return
	}
	n := d.accepted(options)
	if n < 0 {
		if !d.incomplete {
			d.problems.add(0, outletsVariable, "%s: %s, and the environment describes no such identity", kind, options.accepts(""))
		}
		return
	}
	d.show(kind, listen, d.config.Shared != "", n)
}

// accepted is the number of the identity that an outlet can show; -1 if there is none.
func (d *detection) accepted(options outletOptions) int {
	return slices.IndexFunc(d.config.Identities, func(i IdentityConfig) bool { return options.accepts(i.Exchange.Options.yields()) == "" })
}

// show adds an outlet of the nth identity, as the environment has it.
func (d *detection) show(kind, listen string, shared bool, n int) {
	outlet := newOutlet(kind)
	outlet.Options.(detectedOutlet).detect(&outletEnvironment{listen, d.secretFile(d.config.Identities[n].Name), shared, d.first})
	d.append(outlet, n)
}

// append adds an outlet of the nth identity, and says so in the finding.
func (d *detection) append(outlet outletChoice, n int) {
	c := OutletConfig{Identity: d.config.Identities[n].Name, Outlet: outlet}
	d.config.Outlets = append(d.config.Outlets, c)
	told := &d.findings[n].Outlet
	if *told != "" {
		*told += ", "
	}
	*told += outlet.Kind + " at " + c.where()
}

func newOutlet(kind string) outletChoice {
	var c outletChoice
	c.choose(kind)
	return c
}

// listen is the address of WISP_PORT; empty if it is not set.
func (d *detection) listen() string {
	text := d.env.Get(portVariable)
	if text == "" {
		return ""
	}
	port, why := parsePort(text)
	if why != "" {
		d.problems.add(0, portVariable, "%s", why)
		return ""
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// linkLocal reports whether clients are to find wisp at the clouds' own addresses.
func (d *detection) linkLocal() bool {
	switch value := d.env.Get(linkLocalVariable); value {
	case "", "false":
		return false
	case "true":
	default:
		d.problems.add(0, linkLocalVariable, "must be true or false, not %q", value)
		return false
	}
	for _, i := range d.config.Identities {
		if d.platform(i.Source.Kind, "") != nil {
			d.problems.add(0, linkLocalVariable, "puts wisp in the place of the machine's metadata service, which the identity %s is proven by (%s)", i.Name, i.Source.Kind)
		}
	}
	return true
}

// secretFile is where an outlet's secret is kept when nobody says where.
func (d *detection) secretFile(name string) string {
	dir := "/run/wisp"
	if user := d.env.Get("XDG_RUNTIME_DIR"); user != "" {
		dir = filepath.Join(user, "wisp")
	}
	if d.config.Shared != "" {
		dir = d.config.Shared
	}
	return filepath.Join(dir, "secrets", name)
}
