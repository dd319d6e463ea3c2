package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// source runs env.sh in a shell with the given environment, and returns what that is afterwards.
func source(t *testing.T, shell, path string, environ ...string) map[string]string {
	t.Helper()
	command := exec.Command(shell, "-euc", `. "$1"; . "$1"; exec env -0`, shell, path) // twice does no harm
	command.Env = append([]string{"PATH=/usr/bin:/bin"}, environ...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v, stderr %q", shell, err, &stderr)
	}
	env := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

// environmentAt is that of a playground in a directory, and the playground's configuration.
func environmentAt(t *testing.T, path string) (directory, *agent.Config, *agent.ClientEnvironment) {
	t.Helper()
	dir, err := makeDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	at, err := listen(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { at.close() })
	text, err := config(dir, at)
	if err != nil {
		t.Fatal(err)
	}
	c, err := agent.Parse(configFile, text)
	if err != nil {
		t.Fatal(err)
	}
	e, err := environment(c, dir, at)
	if err != nil {
		t.Fatal(err)
	}
	return dir, c, e
}

// unset are the variables that env.sh unsets.
func unset(e *agent.ClientEnvironment) []string {
	var all []string
	for _, s := range e.Sections {
		all = append(all, s.Unset...)
	}
	return all
}

func TestEnvScript(t *testing.T) {
	dir, _, e := environmentAt(t, filepath.Join(t.TempDir(), `it's a "dir" of $HOME`))
	text, err := script(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.write(envFile, text); err != nil {
		t.Fatal(err)
	}

	// A developer's own settings, all of which would outrank wisp's.
	var hostile []string
	for _, name := range unset(e) {
		hostile = append(hostile, name+"=of the developer")
	}
	for _, shell := range []string{"sh", "bash", "dash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		env := source(t, shell, dir.file(envFile), append(hostile, "NO_PROXY=corp.example")...)
		for name, want := range values(e) {
			if strings.EqualFold(name, "NO_PROXY") {
				continue // see below
			}
			if got := env[name]; got != want || want == "" {
				t.Errorf("%s: %s = %q, want %q", shell, name, got, want)
			}
		}
		for _, name := range unset(e) {
			if value, set := env[name]; set {
				t.Errorf("%s: %s is still set: %q", shell, name, value)
			}
		}
	}
	for _, tt := range []struct{ name, before, want string }{
		{"no proxy settings", "X=", "127.0.0.1,localhost"},
		{"upper case", "NO_PROXY=corp.example", "corp.example,127.0.0.1,localhost"},
		{"lower case", "no_proxy=corp.example", "corp.example,127.0.0.1,localhost"},
	} {
		env := source(t, "sh", dir.file(envFile), tt.before)
		for _, name := range []string{"NO_PROXY", "no_proxy"} {
			if got := env[name]; !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s: %s = %q, want %q", tt.name, name, got, tt.want)
			}
		}
	}
}

// The names that clients read: a slip of the pen here would show only with the client at hand.
func TestEnvironmentHasTheStandardNames(t *testing.T) {
	_, _, e := environmentAt(t, shortDir(t))
	if len(e.Warnings) > 0 {
		t.Errorf("warnings: %q", e.Warnings)
	}
	set := values(e)
	for _, name := range []string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL_STS", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_V1_DISABLED",
		"GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT", "GCE_METADATA_MTLS_MODE", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET", "APPSETTING_WEBSITE_SITE_NAME",
		"AZURE_POD_IDENTITY_AUTHORITY_HOST", "MSAL_MANAGED_IDENTITY_ENDPOINT", "AZURE_CLIENT_ID", "AZURE_CONFIG_DIR",
		"NO_PROXY", "no_proxy", "WISP_CONFIG", "PLAYGROUND_ADMIN_SOCKET",
	} {
		if set[name] == "" {
			t.Errorf("%s is not set", name)
		}
	}
	gone := unset(e)
	for _, name := range []string{
		"AWS_EC2_METADATA_DISABLED", // it would switch imds off
		"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_USE_FIPS_ENDPOINT",
		"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CORE_PROJECT", "CLOUDSDK_ACTIVE_CONFIG_NAME",
		"AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "IMDS_ENDPOINT",
		"WISP_ADMIN_SOCKET", // a second wisp in that shell would want to listen there, too
	} {
		if !slices.Contains(gone, name) {
			t.Errorf("%s is not unset", name)
		}
	}
	for _, name := range gone {
		if _, both := set[name]; both {
			t.Errorf("%s is set and unset", name)
		}
	}
}

// The tour, which knows only what env.sh says, asks each outlet of the configuration for each of its
// identities; and the configuration has every kind of outlet that there is.
func TestTheTourAsksEveryOutlet(t *testing.T) {
	_, c, e := environmentAt(t, t.TempDir())
	asked := outlets(values(e), unreachable)
	kinds := map[string]bool{}
	for _, o := range c.Outlets {
		kind := o.Outlet.Kind
		kinds[kind] = true
		where, _, _ := strings.Cut(fmt.Sprint(o.Outlet.Options), " as ") // of a file
		for _, identity := range append(o.Identities, o.Identity) {
			if identity == "" {
				continue
			}
			where := strings.Replace(where, "IDENTITY", identity, 1)
			if !slices.ContainsFunc(asked, func(o outlet) bool {
				return o.kind == kind && o.identity == identity && strings.Contains(o.way.String(), where)
			}) {
				t.Errorf("nobody asks %s of %s at %s", kind, identity, where)
			}
		}
	}
	reference, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile("### Outlet `(\\w+)`").FindAllSubmatch(reference, -1)
	for _, kind := range all {
		if !kinds[string(kind[1])] {
			t.Errorf("the playground has no outlet %s", kind[1])
		}
	}
	if len(all) < 8 {
		t.Errorf("the reference tells of %d kinds, want 8 or more", len(all))
	}
}

// unreachable is a world for those who only want to know what would be asked.
var unreachable = &world{issuer: cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "http://127.0.0.1:1"})}

// A Unix socket has a short name. In a directory with a long one there is none, and all else is as ever.
func TestALongPathHasNoAdminSocket(t *testing.T) {
	_, c, e := environmentAt(t, filepath.Join(t.TempDir(), strings.Repeat("long", maxSocket/4)))
	if socket := c.AdminSocket(); socket != "" {
		t.Errorf("the configuration has the socket %s", socket)
	}
	if socket, set := values(e)["PLAYGROUND_ADMIN_SOCKET"]; set {
		t.Errorf("env.sh has the socket %s", socket)
	}
	for _, o := range outlets(values(e), unreachable) {
		if o.kind == "admin" {
			t.Error("the tour asks the socket")
		}
	}
}
