package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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

func TestEnvScript(t *testing.T) {
	dir, err := makeDirectory(filepath.Join(t.TempDir(), `it's a "dir" of $HOME`))
	if err != nil {
		t.Fatal(err)
	}
	at, err := listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer at.close()
	list := environments(dir, at, "the-secret-of-app-service")
	if err := dir.write(envFile, script(list)); err != nil {
		t.Fatal(err)
	}

	// A developer's own settings, all of which would outrank wisp's.
	var hostile []string
	for _, e := range list {
		for _, name := range e.unset {
			hostile = append(hostile, name+"=of the developer")
		}
	}
	for _, shell := range []string{"sh", "bash", "dash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		env := source(t, shell, dir.file(envFile), append(hostile, "NO_PROXY=corp.example")...)
		for name, want := range values(list) {
			if got := env[name]; got != want || want == "" {
				t.Errorf("%s: %s = %q, want %q", shell, name, got, want)
			}
		}
		for _, e := range list {
			for _, name := range e.unset {
				if value, set := env[name]; set {
					t.Errorf("%s: %s is still set: %q", shell, name, value)
				}
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
	at, err := listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer at.close()
	list := environments("/dir", at, "secret")
	set := values(list)
	for _, name := range []string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL_STS", "AWS_EC2_METADATA_DISABLED",
		"GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT", "GCE_METADATA_MTLS_MODE", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET",
		"AZURE_POD_IDENTITY_AUTHORITY_HOST", "MSAL_MANAGED_IDENTITY_ENDPOINT", "AZURE_CLIENT_ID",
	} {
		if set[name] == "" {
			t.Errorf("%s is not set", name)
		}
	}
	for _, e := range list {
		for _, name := range e.unset {
			if _, both := set[name]; both {
				t.Errorf("%s is set and unset", name)
			}
		}
	}
}
