package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// secrets are what Helm makes anew each time.
var secrets = regexp.MustCompile(`(tls\.crt|tls\.key|ca\.crt|caBundle): LS0tL[A-Za-z0-9+/=]+`)

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
				renders = append(renders, normal(rendered))
			}
			if diff := cmp.Diff(renders[0], renders[1]); diff != "" {
				t.Errorf("the Helms differ (-3 +4):\n%s", diff)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", renders[1])
		})
	}
}

// normal leaves out what changes from one time to the next, and in what the Helms differ: order of the kinds that they do
// not know, and empty lines between documents.
func normal(rendered string) string {
	documents := regexp.MustCompile(`(?m)^---\n`).Split(secrets.ReplaceAllString(rendered, "$1: …"), -1)
	for n, document := range documents {
		documents[n] = strings.TrimRight(document, "\n") + "\n"
	}
	slices.Sort(documents)
	return strings.TrimLeft(strings.Join(documents, "---\n"), "\n")
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
