package inject

import (
	"cmp"
	"encoding/json"
	"fmt"
)

// A Policy is what a cluster's administrators have decided: the image, and what most Pods have in common. It
// does not change, and may be used by many goroutines at once.
type Policy struct {
	image, pullPolicy string // an empty pullPolicy is left to Kubernetes
	pullSecrets       []string
	classic           bool // an ordinary container, for clusters without native sidecars
	linkLocal         bool // Pods may ask for it
	port, healthPort  string
	logLevel          string
	startupSeconds    int
	resources         resources
	env               []variable

	aws    struct{ region, audience, expiration string }
	google struct{ audience, tokenAudience, project, expiration string }
	azure  struct{ tenant, authority, audience, expiration string }
}

// resources are those of the sidecar; what is empty is left out.
type resources struct {
	Requests quantities `json:"requests,omitzero"`
	Limits   quantities `json:"limits,omitzero"`
}

type quantities struct {
	CPU    string `json:"cpu,omitempty"`
	Memory string `json:"memory,omitempty"`
}

// ParsePolicy reads a policy document, JSON. What it does not say has the defaults of the chart; only the image
// is required. The error has all problems, one per line.
func ParsePolicy(text []byte) (*Policy, error) {
	n, err := read(text)
	if err != nil {
		return nil, fmt.Errorf("the policy cannot be read: %w", err)
	}
	n.known("image", "imagePullPolicy", "imagePullSecrets", "sidecar", "port", "healthPort", "logLevel", "startupSeconds",
		"linkLocal", "resources", "env", "aws", "google", "azure")
	p := &Policy{
		image:          n.text("image"),
		pullPolicy:     n.formed("imagePullPolicy", "", form{want: "Always, IfNotPresent or Never", pattern: `Always|IfNotPresent|Never`}),
		classic:        n.formed("sidecar", "native", form{want: "native or classic", pattern: `native|classic`}) == "classic",
		linkLocal:      n.flag("linkLocal"),
		port:           n.number("port", "9911", portForm),
		healthPort:     n.number("healthPort", "9910", portForm),
		logLevel:       cmp.Or(n.formed("logLevel", "info", logLevelForm), "info"),
		startupSeconds: atoi(n.number("startupSeconds", "600", form{want: "seconds from 1 to 86400", pattern: `[0-9]{1,5}`, least: 1, most: 86400})),
	}
	if p.image == "" {
		n.report("image", "is required")
	}
	if p.port == p.healthPort {
		n.report("healthPort", "is the same as port")
	}
	for i, secret := range member[[]any](n, "imagePullSecrets", "a list") {
		name, ok := secret.(string)
		if !ok || name == "" {
			n.report(fmt.Sprintf("imagePullSecrets[%d]", i), "is not the name of a Secret")
		}
		p.pullSecrets = append(p.pullSecrets, name)
	}
	p.readResources(n.object("resources"))
	for _, e := range n.each("env") {
		e.known("name", "value")
		v := variable{Name: e.formed("name", "", form{want: "the name of a variable", pattern: `[A-Za-z_][A-Za-z0-9_]*`}), Value: e.text("value")}
		if v.Name == "" {
			e.report(e.join("name"), "is required")
		}
		p.env = append(p.env, v)
	}
	p.readClouds(n)
	if err := n.document.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Policy) readResources(n node) {
	n.known("requests", "limits")
	requests, limits := n.object("requests"), n.object("limits")
	requests.known("cpu", "memory")
	limits.known("cpu", "memory")
	p.resources = resources{
		Requests: quantities{requests.formed("cpu", "10m", quantityForm), requests.formed("memory", "24Mi", quantityForm)},
		Limits:   quantities{limits.formed("cpu", "", quantityForm), limits.formed("memory", "128Mi", quantityForm)},
	}
}

func (p *Policy) readClouds(n node) {
	aws, google, azure := n.object("aws"), n.object("google"), n.object("azure")
	aws.known("region", "audience", "tokenExpiration")
	p.aws.region = aws.formed("region", "", regionForm)
	p.aws.audience = cmp.Or(aws.formed("audience", "", audienceForm), "sts.amazonaws.com")
	p.aws.expiration = aws.number("tokenExpiration", "86400", expirationForm)
	google.known("audience", "tokenAudience", "project", "tokenExpiration")
	p.google.audience = google.formed("audience", "", providerForm)
	p.google.tokenAudience = google.formed("tokenAudience", "", audienceForm)
	p.google.project = google.formed("project", "", projectForm)
	p.google.expiration = google.number("tokenExpiration", "3600", expirationForm)
	azure.known("tenantId", "authorityHost", "audience", "tokenExpiration")
	p.azure.tenant = azure.formed("tenantId", "", tenantForm)
	p.azure.authority = azure.formed("authorityHost", "", authorityForm)
	p.azure.audience = cmp.Or(azure.formed("audience", "", audienceForm), "api://AzureADTokenExchange")
	p.azure.expiration = azure.number("tokenExpiration", "3600", expirationForm)
}

// formed is a string of a form, or empty.
func (n node) formed(key, absent string, f form) string {
	if !n.has(key) {
		return absent
	}
	value := n.text(key)
	if value != "" && !f.fits(value) {
		n.report(n.join(key), "is '%s', want %s", shown(value), f.want)
	}
	return value
}

// number is a JSON number of a form.
func (n node) number(key, absent string, f form) string {
	if !n.has(key) {
		return absent
	}
	value := string(member[json.Number](n, key, "a number"))
	if value != "" && !f.fits(value) {
		n.report(n.join(key), "is %s, want %s", shown(value), f.want)
	}
	return value
}
