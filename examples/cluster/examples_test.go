package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// templates are where the kinds of workloads have the Pods that their controllers make.
var templates = map[string][]string{
	"Pod": {}, "Deployment": {"spec", "template"}, "StatefulSet": {"spec", "template"}, "DaemonSet": {"spec", "template"},
	"Job": {"spec", "template"}, "CronJob": {"spec", "jobTemplate", "spec", "template"},
}

// Each file of examples/kubernetes is admitted on a cluster with the values beside it, and so is each Pod that comes of
// it, with wisp; or it is refused with the sentence that it says. The comments before the objects say what is meant:
//
//	# modes: policy, webhook
//	# refused: wisp cannot be injected: …
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../kubernetes/*.yaml")
	must(t, err)
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, ".values.yaml") })
	if len(files) == 0 {
		t.Fatal("there are no examples")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		text, err := os.ReadFile(file)
		must(t, err)
		given, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".values.yaml")
		must(t, err)
		modes := strings.Split(comment(text, "modes"), ", ")
		var v values
		must(t, yaml.UnmarshalStrict(given, &v))
		if mode, ok := v["mode"].(string); !ok || !slices.Contains(modes, mode) {
			t.Errorf("%s: the values' mode is %v, and the example is for %v", name, v["mode"], modes)
		}
		for _, mode := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				var v values
				must(t, yaml.UnmarshalStrict(given, &v))
				c := clusterOf(t, mode)
				c.admit(t, "example-"+name, c.install(t, v), text, comment(text, "refused"))
			})
		}
	}
}

// comment is what a file's comment says after "# NAME: "; empty if there is none.
func comment(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		if after, ok := strings.CutPrefix(line, "# "+name+": "); ok {
			return strings.TrimSpace(after)
		}
	}
	return ""
}

// admit creates what is in a file, and asks what becomes of the Pods.
func (c *cluster) admit(t *testing.T, namespace, image string, text []byte, refused string) {
	t.Helper()
	c.namespace(t, namespace, nil)
	pods := 0
	for _, object := range objects(t, text) {
		path, workload := templates[object.GetKind()]
		switch {
		case object.GetKind() == "Namespace":
			c.namespace(t, object.GetName(), object.GetLabels())
			continue
		case !workload:
			c.apply(t, namespace, object)
			continue
		case object.GetKind() != "Pod":
			c.apply(t, namespace, object, metav1.DryRunAll)
		}
		pods++
		within := namespace
		if own := object.GetNamespace(); own != "" {
			within = own
		}
		c.admitPod(t, within, image, podOf(t, object, path), refused)
	}
	if pods == 0 {
		t.Error("the example has no Pod")
	}
}

// podOf is the Pod that a controller makes.
func podOf(t *testing.T, object *unstructured.Unstructured, path []string) []byte {
	t.Helper()
	pod, there, err := unstructured.NestedMap(object.Object, path...)
	if err != nil || !there {
		t.Fatalf("%s %s: no Pod at %v: %v", object.GetKind(), object.GetName(), path, err)
	}
	pod["apiVersion"], pod["kind"] = "v1", "Pod"
	must(t, unstructured.SetNestedField(pod, object.GetName(), "metadata", "name"))
	text, err := json.Marshal(pod)
	must(t, err)
	return text
}

func (c *cluster) admitPod(t *testing.T, namespace, image string, pod []byte, refused string) {
	t.Helper()
	c.await(t, "the Pod to be judged", func(ctx context.Context) error {
		made, err := c.create(ctx, namespace, pod)
		if got := sentence(err); got != refused {
			return fmt.Errorf("refusal = %q, want %q", got, refused)
		}
		if err == nil && sidecar(made) != image {
			return fmt.Errorf("the sidecar's image is %q, want %q", sidecar(made), image)
		}
		return nil
	})
}
