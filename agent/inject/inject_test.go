package inject_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/agent/inject"
	"github.com/wisp-sidecar/wisp/agent/inject/injecttest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func policyOf(t testing.TB, c injecttest.Case) *inject.Policy {
	t.Helper()
	policy, err := inject.ParsePolicy(c.Policy)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// Who is injected, who is not, and how: each file is one answer. The admission policy of the chart has to give
// the same ones.
func TestTable(t *testing.T) {
	for _, c := range injecttest.Read(t, "testdata") {
		t.Run(c.Name, func(t *testing.T) {
			golden(t, filepath.Join("testdata", "pods", c.Name+".golden"), answer(t, policyOf(t, c), c))
		})
	}
}

// answer is the refusal, or the warnings and the Pod.
func answer(t *testing.T, policy *inject.Policy, c injecttest.Case) string {
	t.Helper()
	result, err := policy.Inject(c.Request())
	if refusal, ok := errors.AsType[*inject.Refusal](err); ok {
		return "refused: " + refusal.Error() + "\n"
	}
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, warning := range result.Warnings {
		b.WriteString("warning: " + warning + "\n")
	}
	if len(result.Patch) == 0 {
		b.WriteString("nothing to do\n")
		return b.String()
	}
	pod, err := injecttest.Apply(c.Pod, result.Patch)
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(pod, &document); err != nil {
		t.Fatal(err)
	}
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		t.Fatal(err)
	}
	return b.String()
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

// A webhook is asked again when a later one has changed the Pod.
func TestSecondPassFindsNothingToDo(t *testing.T) {
	for _, c := range injecttest.Read(t, "testdata") {
		policy := policyOf(t, c)
		first, err := policy.Inject(c.Request())
		if err != nil || len(first.Patch) == 0 {
			continue // TestTable shows those
		}
		r := c.Request()
		if r.Pod, err = injecttest.Apply(c.Pod, first.Patch); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		second, err := policy.Inject(r)
		if err != nil {
			t.Errorf("%s: the second pass: %v", c.Name, err)
			continue
		}
		if len(second.Patch) > 0 {
			t.Errorf("%s: the second pass adds %+v", c.Name, second.Patch)
		}
		if diff := cmp.Diff(first.Warnings, second.Warnings); diff != "" {
			t.Errorf("%s: the second pass warns of something else (-first +second):\n%s", c.Name, diff)
		}
	}
}

// Whatever else a Pod says, and whatever future versions let it say, stays byte for byte: without what the
// patch adds it is the Pod as it was. Only the lists of those who need no proxy grow.
func TestPatchOnlyAdds(t *testing.T) {
	cases := injecttest.Read(t, "testdata")
	future, err := filepath.Glob("testdata/future/*.json")
	if err != nil || len(future) == 0 {
		t.Fatalf("no Pods of the future: %v", err)
	}
	for _, file := range future {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, injecttest.Case{
			Name: file, Pod: text, Policy: []byte(`{"image": "wisp:dev"}`),
		})
	}
	for _, c := range cases {
		result, err := policyOf(t, c).Inject(c.Request())
		if _, refused := errors.AsType[*inject.Refusal](err); refused && strings.HasPrefix(c.Name, "testdata") {
			t.Errorf("%s: %v", c.Name, err)
		}
		if err != nil {
			continue // TestTable shows those
		}
		var added []inject.Operation
		for _, operation := range result.Patch {
			if operation.Op == "add" {
				added = append(added, operation)
			} else if _, text := operation.Value.(string); operation.Op != "replace" || !text || c.Name != "no_proxy" && c.Name != "duplicate_env" {
				t.Errorf("%s: %+v", c.Name, operation)
			}
		}
		pod, err := injecttest.Apply(c.Pod, added)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		before, err := injecttest.Apply(c.Pod, nil)
		if err != nil {
			t.Fatal(err)
		}
		after, err := injecttest.Undo(pod, added)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if string(before) != string(after) {
			t.Errorf("%s: without the additions the Pod is\n%s\nwant\n%s", c.Name, after, before)
		}
	}
}
