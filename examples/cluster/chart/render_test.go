package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// secrets are what Helm makes anew each time.
var secrets = regexp.MustCompile(`(tls\.crt|tls\.key|ca\.crt|caBundle): LS0tL[A-Za-z0-9+/=]+`)

// gap is between documents; Helm 4 leaves an empty line there.
var gap = regexp.MustCompile(`\n+---\n`)

// Each file of values in testdata/renders, its first line says what for, gives the documents in its golden file, in
// both Helms.
func TestRenders(t *testing.T) {
	files, err := filepath.Glob("testdata/renders/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values in testdata/renders: %v", err)
	}
	all := bothHelms(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			values, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(values), "# ") {
				t.Error("the first line is no comment that says what the values show")
			}
			var renders []string
			for _, h := range all {
				rendered := h.render(t, string(values))
				decode(t, rendered)
				rendered = secrets.ReplaceAllString(rendered, "$1: …")
				renders = append(renders, strings.TrimSpace(gap.ReplaceAllString(rendered, "\n---\n"))+"\n")
			}
			if diff := cmp.Diff(renders[0], renders[1]); diff != "" {
				t.Errorf("the Helms differ (-3 +4):\n%s", diff)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", renders[1])
		})
	}
}

// decode decodes documents with Kubernetes' own types, which know every field there is, and returns them by kind and
// name. Those of cert-manager and Prometheus have no types here.
func decode(t *testing.T, rendered string) map[string]any {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	objects := map[string]any{}
	for _, document := range strings.Split(rendered, "\n---\n") {
		if strings.Contains(document, "apiVersion: cert-manager.io/v1\n") || strings.Contains(document, "apiVersion: monitoring.coreos.com/v1\n") {
			continue
		}
		object, kind, err := decoder.Decode([]byte(document), nil, nil)
		if err != nil {
			t.Errorf("%v:\n%s", err, document)
			continue
		}
		name := regexp.MustCompile(`(?m)^  name: (.*)$`).FindStringSubmatch(document)[1]
		objects[kind.Kind+"/"+name] = object
	}
	return objects
}

func TestLint(t *testing.T) {
	for _, h := range bothHelms(t) {
		if out, ok := h.run(t, "lint", "--strict", "--kube-version", newest, chartDir); !ok {
			t.Errorf("%s lint: %s", h.name, out)
		}
	}
}
