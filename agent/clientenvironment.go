package agent

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A ClientEnvironment is what leads an application's clients to wisp's outlets: variables to set, and variables
// that must not be set because clients would believe them instead.
type ClientEnvironment struct {
	Sections []Section
	// Warnings tell what in the present environment would lead clients past wisp, and what the variables
	// cannot express.
	Warnings []string
}

// A Section is what one outlet needs.
type Section struct {
	Title string // for people: "awsContainer, identity reports"
	Set   []Variable
	Unset []string
	// script says the same as Set for a POSIX shell that may have other values by then; empty: Set will do.
	script string
}

// A Variable is an environment variable.
type Variable struct {
	Name, Value string
	// Secret: the value is the outlet's secret, and not for a manifest.
	Secret bool
}

// ClientEnvironmentOptions say what a [ClientEnvironment] is for.
type ClientEnvironmentOptions struct {
	Identity string // the only one to lead to; empty: all
	Outlet   string // the only kind to lead to; empty: all, files only where there is nothing better
	// Environ is the environment that the variables are to be added to, as os.Environ returns it.
	Environ []string
	// WithoutSecrets leaves the values of secrets empty, and reads none.
	WithoutSecrets bool
}

// bypasses are the variables that outrank or divert what leads to an outlet, by what the identity yields.
// Those that the outlet itself sets are not meant.
var bypasses = map[shape][]string{
	accessKey: {
		"AWS_PROFILE", "AWS_DEFAULT_PROFILE",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_FILE",
		"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
	},
	googleBearer: {
		"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
		"NO_GCE_CHECK", "METADATA_SERVER_DETECTION",
		"CLOUDSDK_AUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
		"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT", "CLOUDSDK_CORE_ACCOUNT", "CLOUDSDK_CORE_CHECK_GCE_METADATA",
		"CLOUDSDK_CORE_UNIVERSE_DOMAIN",
	},
	entraBearer: {
		"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH",
		"AZURE_USERNAME", "AZURE_PASSWORD", "AZURE_TOKEN_CREDENTIALS",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT",
		"MSI_ENDPOINT", "MSI_SECRET", "DEFAULT_IDENTITY_CLIENT_ID",
	},
}

// ErrNoVariables is why there is no [ClientEnvironment]: the outlets are found in other ways.
var ErrNoVariables = errors.New("no environment variable leads")

// ClientEnvironment says what leads an application to the outlets. Where two outlets want one variable, the
// first of the configuration gets it.
func (c *Config) ClientEnvironment(o ClientEnvironmentOptions) (*ClientEnvironment, error) {
	m := &environmentMaker{config: c, options: o, present: environMap(o.Environ), environment: &ClientEnvironment{}, taken: map[string]string{}, led: map[shape]bool{}}
	byName := map[string]*IdentityConfig{}
	for n := range c.Identities {
		byName[c.Identities[n].Name] = &c.Identities[n]
	}
	if o.Identity != "" && byName[o.Identity] == nil {
		return nil, fmt.Errorf("there is no identity %q", o.Identity)
	}
	for _, files := range []bool{false, true} {
		for n := range c.Outlets {
			outlet := &c.Outlets[n]
			lead, ok := outlet.Outlet.Options.(leadingOutlet)
			if _, http := lead.(httpOutlet); !ok || http == files || (o.Outlet != "" && o.Outlet != outlet.Outlet.Kind) {
				continue
			}
			if err := m.add(outlet, lead, byName, files); err != nil {
				return nil, fmt.Errorf("%s: %w", outlet.path(n), err)
			}
		}
	}
	if len(m.environment.Sections) == 0 {
		return nil, fmt.Errorf("%w to %s%s: only files or programs do, or nothing", ErrNoVariables,
			cmp.Or(o.Outlet, "the outlets"), ofIdentity(o.Identity))
	}
	m.finish()
	return m.environment, nil
}

func ofIdentity(name string) string {
	if name == "" {
		return ""
	}
	return " of identity " + name
}

type environmentMaker struct {
	config      *Config
	options     ClientEnvironmentOptions
	present     map[string]string
	environment *ClientEnvironment
	taken       map[string]string // variable → whom it leads to
	led         map[shape]bool    // clouds that are led to an outlet
}

func (m *environmentMaker) warn(format string, args ...any) {
	m.environment.Warnings = append(m.environment.Warnings, fmt.Sprintf(format, args...))
}

// add adds the section of an outlet, for the wanted identity or its first one.
func (m *environmentMaker) add(c *OutletConfig, outlet leadingOutlet, byName map[string]*IdentityConfig, file bool) error {
	name := cmp.Or(m.options.Identity, c.names()[0])
	if !slices.Contains(c.names(), name) {
		return nil
	}
	exchange := byName[name].Exchange.Options
	if file && m.options.Outlet == "" && m.led[exchange.yields()] {
		return nil // a file goes stale, as most clients read it once
	}
	var secret refresher.Secret
	if http, ok := outlet.(httpOutlet); ok && !m.options.WithoutSecrets {
		var err error
		if secret, err = m.config.secret(http.secret()); err != nil {
			return err
		}
	}
	variables := outlet.variables(outletIdentity{name: name, exchange: exchange}, secret)
	if len(variables) == 0 {
		return nil
	}
	if n := slices.IndexFunc(variables, func(v Variable) bool { return v.Secret }); n >= 0 && m.options.WithoutSecrets {
		if outlet.(httpOutlet).secret().env == "" {
			m.warn("the secret of %s is in a file, which %s in a manifest cannot be read from: use secretEnv, with metadata.uid there, too", c.Outlet.Kind, variables[n].Name)
		}
	}
	section := Section{Title: c.Outlet.Kind + ", identity " + name}
	for _, v := range variables {
		if other, taken := m.taken[v.Name]; taken {
			if other != name {
				m.warn("%s leads to identity %s already; wisp env %s says what leads to that one", v.Name, other, name)
				return nil
			}
			continue
		}
		section.Set = append(section.Set, v)
	}
	if len(section.Set) == 0 {
		return nil // another outlet of this identity says it all
	}
	for _, v := range section.Set {
		m.taken[v.Name] = name
	}
	m.led[exchange.yields()] = true
	m.environment.Sections = append(m.environment.Sections, section)
	return nil
}

// finish adds what is to be unset, what concerns all outlets, and the warnings.
func (m *environmentMaker) finish() {
	if m.taken[metadataEndpoint] != "" {
		m.drop(metadataDisabled)
	}
	clouds := []shape{accessKey, googleBearer, entraBearer}
	var unset []string
	for _, cloud := range clouds {
		for _, name := range bypasses[cloud] {
			if _, set := m.taken[name]; set || !m.led[cloud] {
				continue
			}
			unset = append(unset, name)
			if m.present[name] != "" {
				m.warn("%s is set here; clients would go by it and past wisp", name)
			}
		}
	}
	m.warnOfFiles()
	proxies := Section{Title: "loopback is not for proxies: some clients would send even this to one"}
	direct := withoutProxy(cmp.Or(m.present["NO_PROXY"], m.present["no_proxy"]))
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		proxies.Set = append(proxies.Set, Variable{Name: name, Value: direct})
	}
	proxies.script = extendNoProxy
	outranking := Section{Title: "clients would believe these before wisp", Unset: unset}
	m.environment.Sections = append(m.environment.Sections, proxies, outranking)
}

// Where one outlet says that there is no instance metadata service, and another one that it is here, the
// latter is right.
const (
	metadataEndpoint = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
	metadataDisabled = "AWS_EC2_METADATA_DISABLED"
)

// drop takes a variable back.
func (m *environmentMaker) drop(name string) {
	for n := range m.environment.Sections {
		section := &m.environment.Sections[n]
		section.Set = slices.DeleteFunc(section.Set, func(v Variable) bool { return v.Name == name })
	}
	delete(m.taken, name)
}

// warnOfFiles tells of the files in the home directory that clients read first.
func (m *environmentMaker) warnOfFiles() {
	home := m.present["HOME"]
	exists := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	if path := filepath.Join(home, ".aws", "credentials"); m.led[accessKey] && m.taken["AWS_SHARED_CREDENTIALS_FILE"] == "" &&
		m.present["AWS_SHARED_CREDENTIALS_FILE"] == "" && home != "" && exists(path) {
		m.warn("%s exists; a default profile there comes before wisp (AWS_SHARED_CREDENTIALS_FILE can name another file)", path)
	}
	gcloud := cmp.Or(m.present["CLOUDSDK_CONFIG"], filepath.Join(home, ".config", "gcloud"))
	if path := filepath.Join(gcloud, "application_default_credentials.json"); m.led[googleBearer] && home != "" && exists(path) {
		m.warn("%s exists; Google's libraries read it before they ask wisp (CLOUDSDK_CONFIG can name another directory)", path)
	}
}

// extendNoProxy is withoutProxy in the language of shells, also with set -eu.
const extendNoProxy = `NO_PROXY="${NO_PROXY:-${no_proxy:-}}"
NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost"
no_proxy="$NO_PROXY"
export NO_PROXY no_proxy
`

// withoutProxy extends the value of NO_PROXY.
func withoutProxy(present string) string {
	hosts := strings.FieldsFunc(present, func(r rune) bool { return r == ',' || r == ' ' })
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return strings.Join(hosts, ",")
}

func environMap(environ []string) map[string]string {
	all := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		all[name] = value
	}
	return all
}

// Apply returns environ with the variables set and unset.
func (e *ClientEnvironment) Apply(environ []string) []string {
	all := environMap(environ)
	for _, s := range e.Sections {
		for _, name := range s.Unset {
			delete(all, name)
		}
		for _, v := range s.Set {
			all[v.Name] = v.Value
		}
	}
	list := make([]string, 0, len(all))
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
