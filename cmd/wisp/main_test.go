package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/agent"
)

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"a one-shot command without success", errors.New("no credential"), 1},
		{"a bad configuration", &agent.ConfigError{Name: "config.yaml"}, 2},
		{"a bad configuration, wrapped", fmt.Errorf("run: %w", &agent.ConfigError{}), 2},
		{"a bad command line", &usageError{errors.New("what?")}, 2},
		{"a taken port", &agent.BindError{Address: "127.0.0.1:9911", Err: errors.New("in use")}, 3},
		{"a taken port, wrapped", fmt.Errorf("run: %w", &agent.BindError{Err: errors.New("in use")}), 3},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%s: exitCode(%v) = %d, want %d", test.name, test.err, got, test.want)
		}
	}
}

func TestLogger(t *testing.T) {
	for _, test := range []struct {
		config agent.LogConfig
		want   string
	}{
		{agent.LogConfig{}, `{"level":"INFO","msg":"credential refreshed","refresh_in":"23m24s"}` + "\n"},
		{agent.LogConfig{Level: "warn"}, ""},
		{agent.LogConfig{Level: "debug", Format: "text"}, "level=DEBUG msg=detail\n" + `level=INFO msg="credential refreshed" refresh_in=23m24s` + "\n"},
	} {
		var b bytes.Buffer
		log := newLogger(test.config, &b)
		log.Debug("detail")
		log.Info("credential refreshed", "refresh_in", 23*time.Minute+24*time.Second)
		got := regexp.MustCompile(`"time":"[^"]*",|time=\S+ `).ReplaceAllString(b.String(), "")
		if got != test.want {
			t.Errorf("newLogger(%+v) writes %q, want %q", test.config, got, test.want)
		}
		if log.Enabled(t.Context(), slog.LevelError) != true {
			t.Errorf("newLogger(%+v) hides errors", test.config)
		}
	}
}

// A sidecar's size is paid for on every node, and the webhook's is to show when a client of all of Kubernetes comes
// in. What is measured is what is shipped.
func TestBinarySize(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the binaries")
	}
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	makefile = bytes.ReplaceAll(makefile, []byte("\\\n"), nil) // long settings go on in the next line
	setting := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + `\s*=\s*(.+)$`).FindSubmatch(makefile)
		if found == nil {
			t.Fatalf("the Makefile sets no %s", name)
		}
		return string(found[1])
	}
	if !strings.Contains(string(makefile), "$(patsubst %,-gcflags=%=-l,$(COLD))\n") ||
		!strings.Contains(string(makefile), `CGO_ENABLED=0 go build -tags $(TAGS) $(GCFLAGS) -trimpath -ldflags "$(LDFLAGS)"`) {
		t.Fatal("the Makefile builds in another way than this test")
	}
	args := []string{"build", "-tags", setting("TAGS")}
	for _, cold := range strings.Fields(setting("COLD")) {
		args = append(args, "-gcflags="+cold+"=-l")
	}
	args = append(args, "-trimpath", "-ldflags", setting("STRIP"))
	for name, limit := range map[string]int64{"wisp": 10_000_000, "wisp-webhook": 13_000_000} {
		binary := filepath.Join(t.TempDir(), name)
		build := exec.Command("go", append(args[:len(args):len(args)], "-o", binary, filepath.Join("..", name))...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		info, err := os.Stat(binary)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.2f MB", name, float64(info.Size())/1e6)
		if info.Size() > limit {
			t.Errorf("%s has %d bytes, want %d at most", name, info.Size(), limit)
		}
	}
}
