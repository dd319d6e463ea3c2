package agent

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxConfig bounds a configuration document: it names a handful of things.
const maxConfig = 256 << 10

// A Config is a configuration document. The zero value of each optional field means its default,
// which the doc tag tells; the reference in docs/configuration.md is made from these structs.
type Config struct {
	Identities []IdentityConfig `yaml:"identities" doc:"who the workload is to the clouds: at least one"`
	Outlets    []OutletConfig   `yaml:"outlets" doc:"how programs get the credentials; none is useful for wisp get"`
	Upstream   UpstreamConfig   `yaml:"upstream" doc:"the way to the clouds"`
	Health     HealthConfig     `yaml:"health" doc:"the listener for probes and metrics"`
	Admin      AdminConfig      `yaml:"admin" doc:"the Unix socket for wisp's own commands"`
	Log        LogConfig        `yaml:"log" doc:"what is logged, to standard error"`
	Drain      DrainConfig      `yaml:"drain" doc:"what happens between SIGTERM and the end"`
	Shared     string           `yaml:"shared" doc:"absolute path of a directory that only the right containers mount: secret files below it get the mode 0444, for containers that run as other users, and the admin socket is there, for anyone who can reach it, unless admin says otherwise (default none)"`

	name   string            // for messages
	path   string            // absolute path of the file; empty if there is none
	digest string            // of the document; empty if there is none
	lines  map[string]int    // path → line
	base   http.RoundTripper // in place of the network; nil but in tests

	dropped map[netip.AddrPort]bool // addresses of outlets that Only has left out
}

// An IdentityConfig is one identity.
type IdentityConfig struct {
	Name      string          `yaml:"name" doc:"how outlets, logs and metrics call it: lower-case letters, digits and hyphens (required)"`
	Required  *bool           `yaml:"required" doc:"whether the startup and readiness probes wait for it (default true)"`
	Source    sourceChoice    `yaml:"source" doc:"where the subject token comes from (required)"`
	Exchange  exchangeChoice  `yaml:"exchange" doc:"what it is traded for (required)"`
	External  *ExternalConfig `yaml:"externalAccount" doc:"a Google external_account file that says both, instead of source and exchange"`
	Floor     time.Duration   `yaml:"floor" doc:"remaining life under which clients refresh by themselves; the schedule stays clear of it (default 15m for aws, 6m for google and entra, 1m for oauthSTS, 0 for subject)"`
	Scopes    []string        `yaml:"scopes" doc:"the only scopes that callers may ask for besides the default ones (default: any)"`
	Resources []string        `yaml:"resources" doc:"the only resources that callers may ask for besides the default one (default: any)"`
	Audiences []string        `yaml:"audiences" doc:"the only audiences of ID tokens that callers may ask for (default: any); of a subject token, the Google audiences that wisp executable answers to (default: those of the identities here, and the token's own)"`
}

// An ExternalConfig is a Google external_account file.
type ExternalConfig struct {
	Path            string `yaml:"path" doc:"absolute path of the file, which is read at the start (required)"`
	AllowExecutable bool   `yaml:"allowExecutable" doc:"permit it to name a program that is run (default false)"`
}

// An OutletConfig is one way of showing credentials: one kind of the registry, for one or several
// identities.
type OutletConfig struct {
	Identity   string       `yaml:"identity" doc:"the identity that it shows"`
	Identities []string     `yaml:"identities" doc:"several, the first being the default; instead of identity, for the HTTP outlets"`
	Outlet     outletChoice `yaml:",kind"`
}

// UpstreamConfig is the way to the clouds.
type UpstreamConfig struct {
	CAFile                string `yaml:"caFile" doc:"PEM file with certificates to trust besides the system's"`
	AllowInsecureLoopback bool   `yaml:"allowInsecureLoopback" doc:"permit http to token services on a loopback address: for fakes, never for a cloud (default false)"`
}

// HealthConfig is the listener for probes and metrics.
type HealthConfig struct {
	Listen    string        `yaml:"listen" doc:"address and port, which may be the Pod's address; off turns it off (default 127.0.0.1:9910)"`
	Metrics   MetricsConfig `yaml:"metrics" doc:"what /metrics tells"`
	Readiness string        `yaml:"readiness" doc:"strict: /readyz is 503 while a required credential is missing; lenient: only until all were there once (default strict)"`
}

// MetricsConfig says what /metrics tells.
type MetricsConfig struct {
	Off bool `yaml:"off" doc:"do not serve /metrics (default false)"`
}

// AdminConfig is the Unix socket for wisp's own commands.
type AdminConfig struct {
	Socket string `yaml:"socket" doc:"absolute path; its directory is made if it is missing; off turns it off (default admin.sock in shared, else /run/wisp/admin.sock if that directory is there, else wisp/admin.sock in XDG_RUNTIME_DIR, else none)"`
	UIDs   []int  `yaml:"uids" doc:"numeric ids of the users, besides wisp's own, whose programs may ask (default none)"`
	Anyone bool   `yaml:"anyone" doc:"let every program ask that can reach the socket: for a volume that only the right containers mount (default true for the default socket in shared if there are no uids, else false)"`
}

// LogConfig says what is logged.
type LogConfig struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error (default info)"`
	Format string `yaml:"format" doc:"json or text (default json)"`
}

// DrainConfig says how long wisp goes on serving after SIGTERM.
type DrainConfig struct {
	Min time.Duration `yaml:"min" doc:"at least this long; give a sidecar that is not a native one 5s, because its application is told at the same moment (default 0s)"`
	Max time.Duration `yaml:"max" doc:"at most this long, even if requests keep coming (default 5s)"`
}

const defaultDrain = 5 * time.Second

func (c *DrainConfig) most() time.Duration { return cmp.Or(c.Max, defaultDrain) }

// IsRequired reports whether probes wait for the identity.
func (c *IdentityConfig) IsRequired() bool { return c.Required == nil || *c.Required }

func (c *IdentityConfig) floor() time.Duration {
	return cmp.Or(c.Floor, c.Exchange.Options.floor())
}

// names are the identities of the outlet, the default one first.
func (c *OutletConfig) names() []string {
	if c.Identity != "" {
		return []string{c.Identity}
	}
	return c.Identities
}

// path is where the nth outlet stands in the document.
func (c *OutletConfig) path(n int) string { return fmt.Sprintf("outlets[%d].%s", n, c.Outlet.Kind) }

// Load reads and checks a configuration file. A file that cannot be used gives a [*ConfigError] with
// everything that is wrong with it.
func Load(path string) (*Config, error) { return LoadIn(Environment{}, path) }

// LoadIn is [Load] for a wisp that was put into a Pod: WISP_HEALTH_PORT and WISP_POD_IP, WISP_SHARED,
// WISP_LOG_LEVEL and WISP_DRAIN_MIN say what the document leaves open.
func LoadIn(env Environment, path string) (*Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &ConfigError{Name: path, Problems: []Problem{{Message: "cannot be read: " + errors.Unwrap(err).Error()}}}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, &ConfigError{Name: path, Problems: []Problem{{Message: "cannot be read: " + err.Error()}}}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, &ConfigError{Name: path, Problems: []Problem{{Message: "cannot be found from elsewhere: " + err.Error()}}}
	}
	return parse(&Config{name: path, path: absolute}, text, env.Get)
}

// Parse reads and checks a configuration document: YAML, of which JSON is a subset. name stands for
// the document in messages.
func Parse(name string, text []byte) (*Config, error) { return parse(&Config{name: name}, text, nil) }

func parse(c *Config, text []byte, getenv func(string) string) (*Config, error) {
	sum := sha256.Sum256(text)
	c.digest = hex.EncodeToString(sum[:])
	p := &problems{lines: map[string]int{}, unread: map[string]bool{}}
	if root := parseYAML(text, p); root != nil {
		p.decode(root, "", c)
		c.lines = p.lines
		c.complete(p, getenv)
		c.readExternalAccounts(p)
		c.check(p)
	}
	if err := p.err(c.name); err != nil {
		return nil, err
	}
	return c, nil
}

var yamlLine = regexp.MustCompile(`\bline (\d+)(?:, column \d+)?(?:: | )`)

// parseYAML returns the one document's root, or nil after reporting why there is none.
func parseYAML(text []byte, p *problems) *yaml.Node {
	if len(text) > maxConfig {
		p.add(0, "", "is larger than %d KiB", maxConfig>>10)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF) || (err == nil && isEmpty(&document)):
		p.add(0, "", "is empty; it needs at least one identity")
		return nil
	case err != nil:
		p.syntax(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		p.add(second.Line, "", "there is a second document; one file holds one")
		return nil
	} else if !errors.Is(err, io.EOF) {
		p.syntax(err)
		return nil
	}
	return document.Content[0]
}

func isEmpty(document *yaml.Node) bool {
	return len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null"
}

// syntax reports an error of the YAML parser, which knows the line but tells it only in its text.
func (p *problems) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		_, _ = fmt.Sscan(m[1], &line)
		text = strings.TrimSpace(strings.Replace(text, m[0], "", 1))
	}
	p.add(line, "", "is not YAML: %s", text)
}
