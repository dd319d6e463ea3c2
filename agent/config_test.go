package agent_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
)

// configError insists on a *agent.ConfigError, of which every line starts with the document's name.
func configError(t testing.TB, err error) *agent.ConfigError {
	t.Helper()
	e, ok := errors.AsType[*agent.ConfigError](err)
	if !ok {
		t.Fatalf("the error is %v (%T), want a *agent.ConfigError", err, err)
	}
	if len(e.Problems) == 0 {
		t.Fatal("a *agent.ConfigError without a problem")
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.HasPrefix(line, e.Name+": ") {
			t.Errorf("line %q of the error does not start with %q", line, e.Name)
		}
	}
	return e
}

// Everything that is wrong is found in one run, with its line and path.
func TestBadConfigurations(t *testing.T) {
	for file, text := range documents(t, "bad/*.yaml") {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			c, err := agent.Parse(name+".yaml", text)
			if err == nil {
				t.Fatalf("Parse accepts it: %+v", c)
			}
			for _, p := range configError(t, err).Problems {
				// The YAML parser does not tell where characters are that it takes for none.
				if p.Line == 0 && p.Message != "is empty; it needs at least one identity" && !strings.Contains(p.Message, "control characters") {
					t.Errorf("no line for: %v", p)
				}
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", strings.ReplaceAll(err.Error(), documentsDir(t), "${DIR}")+"\n")
		})
	}
}

func TestGoodConfigurations(t *testing.T) {
	for file, text := range documents(t, "good/*") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := agent.Parse(file, text)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			c.Summary(&b)
			for _, warning := range c.Warnings() {
				b.WriteString("warning: " + warning + "\n")
			}
			golden(t, strings.TrimSuffix(file, filepath.Ext(file))+".golden", b.String())
		})
	}
}

// The same text gives the same problems in the same order, although some of them come out of maps.
func TestParseIsDeterministic(t *testing.T) {
	for file, text := range documents(t, "bad/*.yaml") {
		_, first := agent.Parse(file, text)
		_, second := agent.Parse(file, bytes.Clone(text))
		if first.Error() != second.Error() {
			t.Errorf("%s: Parse = %v, then %v", file, first, second)
		}
	}
}

func TestParseBoundsTheDocument(t *testing.T) {
	for name, text := range map[string]string{
		"a megabyte of a comment": "#" + strings.Repeat("x", 1<<20),
		"deep lists":              strings.Repeat("[", 200<<10),
		"deep objects":            strings.Repeat("{a: ", 50<<10),
		"deep blocks":             strings.Repeat("- ", 100<<10),
		"many unknown keys":       "identities: []\n" + strings.Repeat("x: 1\n", 50<<10),
		"a long key":              strings.Repeat("x", 200<<10) + ": 1\n",
	} {
		_, err := agent.Parse("config.yaml", []byte(text))
		if err == nil {
			t.Errorf("%s: Parse accepts it", name)
			continue
		}
		configError(t, err)
	}
	_, err := agent.Parse("config.yaml", make([]byte, 256<<10+1))
	if want := "config.yaml: is larger than 256 KiB"; err == nil || err.Error() != want {
		t.Errorf("Parse of too much = %v, want %s", err, want)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, bytes.Repeat([]byte("#\n"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		missing: missing + ": cannot be read: no such file or directory",
		dir:     dir + ": cannot be read: read " + dir + ": is a directory",
		large:   large + ": is larger than 256 KiB",
	} {
		_, err := agent.Load(path)
		if err == nil || err.Error() != want {
			t.Errorf("Load(%s) = %v, want %s", path, err, want)
			continue
		}
		configError(t, err)
	}
	if _, err := agent.Load("testdata/config/good/minimal.yaml"); err != nil {
		t.Error(err)
	}
}

func TestOnly(t *testing.T) {
	c, err := agent.Load("testdata/config/good/three_clouds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c = c.Only("google")
	var b strings.Builder
	c.Summary(&b)
	if got := b.String(); !strings.HasPrefix(got, "identity google: ") || strings.Count(got, "\n") != 2 || strings.Contains(got, "outlet") {
		t.Errorf("Only(google) leaves\n%s", got)
	}
}

// surroundings are those of a machine on which every source can be made.
var surroundings = map[string]string{
	"ACTIONS_ID_TOKEN_REQUEST_URL": "https://github.example/idtoken?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "token",
	"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
}

// No document makes Parse panic or answer with another error than its own, and what it accepts can
// be assembled, unless that fails for what is on the disk.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"good/*", "bad/*.yaml"} {
		for _, text := range documents(f, pattern) {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := agent.Parse("config.yaml", text)
		if err != nil {
			configError(t, err)
			return
		}
		c.Summary(new(strings.Builder))
		c.DropSecrets() // New would make their files wherever the document says
		_, err = agent.New(c, agent.Options{Getenv: func(name string) string { return surroundings[name] }})
		if err == nil {
			return
		}
		for _, p := range configError(t, err).Problems {
			if !strings.HasSuffix(p.Path, ".file") && !strings.Contains(p.Message, "clientSecretFile") {
				t.Errorf("Parse accepts what New refuses: %v", p)
			}
		}
	})
}
