package inject

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What injection adds is found by these names.
const (
	sidecarName   = "wisp"
	linkLocalName = "wisp-link-local"

	tokenVolume = "wisp-tokens"
	runVolume   = "wisp-run"
	emptyVolume = "wisp-empty"

	tokenDir    = "/var/run/secrets/wisp"
	runDir      = "/run/wisp"
	apiTokenDir = "/var/run/secrets/kubernetes.io/serviceaccount"

	azureSkipContainers = "azure.workload.identity/skip-containers"
	maxNames            = 2000 // characters of a list of containers, and of one of tokens

	podUID = "metadata.uid" // the secret of Entra's outlets, which sidecar and applications both know
)

// settings are the annotations of a Pod that say how it is served. Those that say who it is are in identities,
// and ServiceAccounts can have them, too.
var (
	settings = []string{
		"config", "tokens", "outlets", "skip-containers", "log-level", "port", "health-port",
		"resources-requests-cpu", "resources-requests-memory", "resources-limits-cpu", "resources-limits-memory",
		"link-local", "allow-bypass",
	}
	identities = []string{
		"aws-role-arn", "aws-region", "aws-audience", "google-audience", "google-service-account",
		"azure-client-id", "azure-tenant-id", "token-expiration",
	}
)

// An injection is all that has to be known of one Pod to decide on it.
type injection struct {
	policy      *Policy
	pod         *pod
	namespace   map[string]string // labels
	accountName string
	*identity

	injected  bool // it has been done already; what came later is served, and nothing else happens
	classic   bool // the sidecar is an ordinary container, and init containers cannot be served
	linkLocal bool
	port      string
	health    string
	outlets   []outlet // in the order of the Pod's choice
	unknown   []string // what else was in that choice
	served    []*container
	azureSkip []string // containers without the variables of Entra's outlets
}

func newInjection(p *Policy, pod *pod, r Request) *injection {
	i := &injection{
		policy: p, pod: pod, namespace: r.NamespaceLabels,
		accountName: cmp.Or(r.Account.Name, pod.account, "default"),
		identity:    annotations{pod.annotations, r.Account.Annotations}.identity(p),
		classic:     p.classic,
	}
	i.linkLocal = i.setting("link-local") == "true"
	i.port = cmp.Or(i.setting("port"), p.port)
	i.health = cmp.Or(i.setting("health-port"), p.healthPort)
	if own := i.sidecar(); own != nil {
		i.injected, i.classic = true, !own.init
		for _, v := range own.variables("WISP_OUTLETS") {
			i.choose(bounded(v.Value, 1000))
		}
		for _, v := range own.variables("WISP_PORT") {
			if portForm.fits(v.Value) {
				i.port = v.Value // where it is, whatever this policy would have said
				break
			}
		}
	} else if i.choose(bounded(i.setting("outlets"), 1000)); len(i.outlets)+len(i.unknown) == 0 {
		for _, o := range outlets {
			if o.usual && i.on[o.cloud] {
				i.outlets = append(i.outlets, o)
			}
		}
	}
	i.azureSkip = entries(short(pod.annotations[azureSkipContainers]), ";")
	skip := entries(short(i.setting("skip-containers")), ",;")
	for n := range pod.containers {
		c := &pod.containers[n]
		ours := i.injected && (c.name == sidecarName || c.name == linkLocalName)
		if !ours && !slices.Contains(skip, c.name) && !(i.classic && c.init) {
			i.served = append(i.served, c)
		}
	}
	return i
}

// setting is the value of one of the Pod's settings, empty if there is none.
func (i *injection) setting(name string) string { return i.pod.annotations[Prefix+name] }

// sidecar is the container that an earlier injection has added, nil if there was none.
func (i *injection) sidecar() *container {
	for n := range i.pod.containers {
		c := &i.pod.containers[n]
		if c.name == sidecarName && slices.ContainsFunc(c.mounts, func(m volumeMount) bool { return m.Name == tokenVolume }) {
			return c
		}
	}
	return nil
}

// choose takes over a list of outlets.
func (i *injection) choose(names []string) {
	for _, name := range names {
		n := slices.IndexFunc(outlets, func(o outlet) bool { return o.name == name })
		switch {
		case n < 0:
			i.unknown = append(i.unknown, name)
		case !slices.Contains(i.outlets, outlets[n]):
			i.outlets = append(i.outlets, outlets[n])
		}
	}
}

// asks reports whether an outlet is among those of the Pod.
func (i *injection) asks(name string) bool {
	return slices.ContainsFunc(i.outlets, func(o outlet) bool { return o.name == name })
}

// leads reports whether a container is led to an outlet of a cloud.
func (i *injection) leads(c *container, to cloud) bool {
	return slices.ContainsFunc(i.outlets, func(o outlet) bool { return o.cloud == to }) &&
		!(to == entra && slices.Contains(i.azureSkip, c.name))
}

// open are the outlets that everything which reaches the Pod's loopback can use.
func (i *injection) open() []string {
	var names []string
	for _, o := range i.outlets {
		if !o.secret {
			names = append(names, o.name)
		}
	}
	return names
}

// entries splits a list, trims its entries and drops the empty ones.
func entries(list, separators string) []string {
	var all []string
	for _, entry := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if entry = strings.TrimSpace(entry); entry != "" {
			all = append(all, entry)
		}
	}
	return all
}

// bounded are the entries of a list that is separated by commas. One that has more than most characters is taken for a single
// entry, which is none that anybody knows: the chart's policy cannot afford to split it.
func bounded(list string, most int) []string {
	if utf8.RuneCountInString(list) > most {
		return []string{list}
	}
	return entries(list, ",")
}

// short is a list of containers that is not too long for that; empty if it is, which the Pod is refused for.
func short(list string) string {
	if utf8.RuneCountInString(list) > maxNames {
		return ""
	}
	return list
}

// outletNames joins the names of the Pod's outlets.
func (i *injection) outletNames() string {
	names := make([]string, len(i.outlets))
	for n, o := range i.outlets {
		names[n] = o.name
	}
	return strings.Join(names, ",")
}
