package chart_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/examples/cluster/control"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	chartDir  = "../../../charts/wisp"
	namespace = "wisp-system"
	// newest is a version that has everything. Helm has to be told: what it takes for the cluster's version when there is
	// none is that of its own libraries, and in a Helm that go build has made not even that.
	newest = "1.36.0"
)

// A helm is one of the two that the chart is for.
type helm struct{ name, program string }

// helms builds both, which takes a minute when Go's cache has nothing of them.
var helms = sync.OnceValues(func() ([]helm, error) {
	var all []helm
	for _, name := range []string{"helm3", "helm4"} {
		program, err := control.Tool(context.Background(), filepath.Join("..", name), "helm")
		if err != nil {
			return nil, err
		}
		all = append(all, helm{name, program})
	}
	return all, nil
})

func bothHelms(t *testing.T) []helm {
	t.Helper()
	if testing.Short() {
		t.Skip("both Helms have to be built, which -short does not want")
	}
	all, err := helms()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// run runs Helm, and returns what it writes to stdout, or the complaints and false.
func (h helm) run(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), h.program, args...)
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir, "KUBECONFIG="+filepath.Join(dir, "none"))
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String() + stderr.String(), false
	}
	return stdout.String(), true
}

// template renders the chart for a version of Kubernetes; values is YAML.
func (h helm) template(t *testing.T, version, values string, args ...string) (string, bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	return h.run(t, append([]string{"template", "wisp", chartDir, "--namespace", namespace, "--kube-version", version, "--values", file}, args...)...)
}

// render is template where nothing may go wrong.
func (h helm) render(t *testing.T, values string, args ...string) string {
	t.Helper()
	out, ok := h.template(t, newest, values, args...)
	if !ok {
		t.Fatalf("%s template: %s", h.name, out)
	}
	return out
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
