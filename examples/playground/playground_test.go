package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	diff "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/refresher"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// volatile is what differs from run to run. Each has its shape checked by being replaced.
var volatile = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?m)^  \d\d:\d\d:\d\d\.\d  wisp .*\n`), ""}, // other packages' words, in any order
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`\b[0-9a-f]{8}  iss`), "FINGERPRINT  iss"},
	{regexp.MustCompile(`\bexp \d\d:\d\d:\d\d`), "exp TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`expires_on \d{10}`), "expires_on TIME"},
	{regexp.MustCompile(`expires_in \d+`), "expires_in NN"},
	{regexp.MustCompile(`ASIA…[A-Z2-7]{4}`), "ASIA…"},
	{regexp.MustCompile(`(IQoJ|ya29|eyJh)…[\w+/=.-]{4}`), "$1…"},
	{regexp.MustCompile(`[\w+/-]{4}…[\w+/-]{4}`), "SHORTENED"},
}

// shortDir is a directory with a path that is short enough for a socket in it, which that of t.TempDir is
// not everywhere.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wisp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestOneTourShowsTheWholeWay(t *testing.T) {
	dir := shortDir(t)
	var stdout, stderr bytes.Buffer
	// In this lifetime nothing is renewed while the tour lasts: it counts the exchanges.
	if code := run(t.Context(), []string{"-once", "-dir", dir, "-lifetime", "1h"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("run = %d, want 0; stderr %q; stdout\n%s", code, &stderr, &stdout)
	}
	for _, identity := range []string{"aws", "google", "azure"} {
		if !regexp.MustCompile(`wisp +` + identity + ` +credential refreshed`).Match(stdout.Bytes()) {
			t.Errorf("no exchange of %s is shown in\n%s", identity, &stdout)
		}
	}
	got := strings.ReplaceAll(stdout.String(), dir, "DIR")
	for _, v := range volatile {
		got = v.pattern.ReplaceAllString(got, v.instead)
	}
	golden := filepath.Join("testdata", "once.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-want +got):\n%s", golden, d)
	}
}

// secretValues are what must not be seen, in the files of a playground.
var secretValues = []*regexp.Regexp{
	regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`),
	regexp.MustCompile(`ya29\.[\w.-]+`),
	regexp.MustCompile(`(?i)_(?:access_key|session_token|access_key_id) ?= ?(.+)`),
	regexp.MustCompile(`(?:IDENTITY_HEADER|MSI_SECRET)='(.+)'`),
	regexp.MustCompile(`"Authorization": "Bearer (.+)"`),
}

func TestNothingSecretIsShown(t *testing.T) {
	dir := t.TempDir()
	var output bytes.Buffer
	if code := run(t.Context(), []string{"-once", "-dir", dir}, &output, &output); code != 0 {
		t.Fatalf("run = %d, want 0; output\n%s", code, &output)
	}
	var secrets []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if filepath.Base(filepath.Dir(path)) == secretsDir {
			secrets = append(secrets, string(text))
		}
		for _, pattern := range secretValues {
			for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
				secrets = append(secrets, match[len(match)-1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Three subject tokens and a copy of one, five secrets and what env.sh (twice) and adc.json say of them, an
	// access key's three parts in two files, a token in two; and the four subject tokens of the pairs.
	if want := 4 + 5 + 3 + 6 + 2 + 4; len(secrets) != want {
		t.Errorf("%d secrets found in the files, want %d", len(secrets), want)
	}
	for _, secret := range secrets {
		if strings.Contains(output.String(), secret) {
			t.Errorf("%s is shown in\n%s", shorten(secret), &output)
		}
	}
	// Those that are in no file, too.
	for _, pattern := range secretValues[:2] {
		if pattern.Match(output.Bytes()) {
			t.Errorf("a token is shown in\n%s", &output)
		}
	}
}

func TestRunFailsWithWords(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a port that is taken", []string{"-once", "-port", port}, exitFailed, "address already in use"},
		{"a directory that is a file", []string{"-once", "-dir", file}, exitFailed, "not a directory"},
		{"a lifetime that wisp finds useless", []string{"-lifetime", "20s"}, exitUsage, "-lifetime 20s"},
		{"ports past the last one", []string{"-port", "65533"}, exitUsage, "-port 65533"},
		{"an argument", []string{"once"}, exitUsage, `"once"`},
		{"an unknown flag", []string{"-twice"}, exitUsage, "-twice"},
		{"a question", []string{"-help"}, 0, "-lifetime"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.args, &stdout, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("run(%q) = %d, want %d; stderr %q, want %q in it", tt.args, code, tt.code, &stderr, tt.want)
			}
		})
	}
}

// An interrupter ends a run as soon as it has written some text.
type interrupter struct {
	text      string
	interrupt func()

	mu  sync.Mutex // guards out
	out bytes.Buffer
}

func (i *interrupter) Write(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.out.Write(p)
	if strings.Contains(i.out.String(), i.text) {
		i.interrupt()
	}
	return len(p), nil
}

func TestAnInterruptIsACleanEnd(t *testing.T) {
	for name, text := range map[string]string{
		"during the pairs":       "Every source with every exchange",
		"at the first countdown": " answers, 0 failures\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stdout := &interrupter{text: text, interrupt: cancel}
			var stderr bytes.Buffer
			if code := run(ctx, []string{"-lifetime", "1h"}, stdout, &stderr); code != 0 || stderr.Len() > 0 {
				t.Errorf("run = %d, want 0; stderr %q", code, &stderr)
			}
			if out := stdout.out.String(); !strings.Contains(out, "Ended: ") || strings.Contains(out, "failed:") {
				t.Errorf("no last words, or a failure, in\n%s", out)
			}
			left, err := os.ReadDir(os.TempDir())
			if err != nil || len(left) > 0 {
				t.Errorf("the temporary directory holds %v (%v), want nothing", left, err)
			}
		})
	}
}

// What a run leaves in its directory must not be in the way of the next one.
func TestADirectoryServesTwice(t *testing.T) {
	dir := t.TempDir()
	var secrets []string
	for range 2 {
		var output bytes.Buffer
		if code := run(t.Context(), []string{"-once", "-dir", dir}, &output, &output); code != 0 {
			t.Fatalf("run = %d, want 0; output\n%s", code, &output)
		}
		secret, err := os.ReadFile(filepath.Join(dir, awsSecret))
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, string(secret))
	}
	if secrets[0] != secrets[1] {
		t.Error("the second run has another secret, which clients of the first one do not know")
	}
	for name, most := range map[string]fs.FileMode{secretsDir: 0o700, outDir: 0o700, envFile: 0o600, configFile: 0o600, adcFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&^most != 0 {
			t.Errorf("mode of %s = %v (%v), want at most %v", name, info.Mode(), err, most)
		}
	}
}

func TestTheConfigurationIsOneOfWisp(t *testing.T) {
	for _, name := range []string{"plain", "with blank", `quote"and'quote`, `back\slash`, "{brace}: #&*", "größer", "<&>"} {
		at, err := listen(0)
		if err != nil {
			t.Fatal(err)
		}
		defer at.close()
		dir := directory(filepath.Join(t.TempDir(), name))
		text, err := config(dir, at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := agent.Parse(configFile, text)
		if err != nil {
			t.Errorf("a directory named %s: %v", name, err)
			continue
		}
		if len(c.Identities) != 8 || len(c.Outlets) != 13 {
			t.Errorf("%d identities and %d outlets, want 8 and 13", len(c.Identities), len(c.Outlets))
		}
		if warnings := c.Warnings(); len(warnings) != 1 { // of http to fakes
			t.Errorf("warnings = %q, want one", warnings)
		}
	}
}

// adc.json is for libraries that do the exchange themselves: wisp itself can be one of them.
func TestTheCredentialConfigurationFileWorks(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p, err := open(options{dir: t.TempDir(), lifetime: defaultLifetime, patience: defaultPatience}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	c, err := agent.Parse("library.yaml", fmt.Appendf(nil, "upstream: {allowInsecureLoopback: true}\n"+
		"identities: [{name: library, floor: 10s, externalAccount: {path: %q}}]\nhealth: {listen: off}\n", p.dir.file(adcFile)))
	if err != nil {
		t.Fatal(err)
	}
	library, err := agent.New(c, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.play(ctx) })
	library.RunIdentities(ctx, group)
	identity, _ := library.Identity("library")
	asking, cancel := context.WithTimeout(ctx, 2*defaultPatience)
	defer cancel()
	credential, err := identity.Credential(asking, refresher.Target{})
	if err != nil {
		t.Fatal(err)
	}
	token, _ := credential.Value.(refresher.Bearer)
	if whom, _ := p.world.google.Principal(token.Token.Reveal()); whom != "serviceAccount:"+googleAccount {
		t.Errorf("Google takes the library for %q, want %s", whom, googleAccount)
	}
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestShortenedSecretsCannotBeUsed(t *testing.T) {
	for secret, want := range map[string]string{
		"":                                "…",
		"fifteen letters":                 "…",
		"sixteen letters!":                "sixt…ers!",
		strings.Repeat("x", 400) + "y.z9": "xxxx…y.z9",
	} {
		if got := shorten(secret); got != want {
			t.Errorf("shorten(%d bytes) = %q, want %q", len(secret), got, want)
		}
	}
}
