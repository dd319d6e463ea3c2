package inject_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent/inject"
	"github.com/wisp-sidecar/wisp/agent/inject/injecttest"
)

// asking is a Pod that asks for injection, with more in its spec and in its annotations.
func asking(spec, annotations string) []byte {
	return fmt.Appendf(nil, `{"metadata": {"labels": {"wisp-sidecar.github.io/inject": "true"},
		"annotations": {"wisp-sidecar.github.io/aws-role-arn": "arn:aws:iam::123456789012:role/reports"%s}}, "spec": {%s}}`, annotations, spec)
}

func regional(t testing.TB) *inject.Policy {
	t.Helper()
	policy, err := inject.ParsePolicy([]byte(`{"image": "wisp:dev", "aws": {"region": "eu-west-1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// What is no Pod is told with its place; an API server would not have let it come so far.
func TestWhatIsNoPod(t *testing.T) {
	const app = `"containers": [{"name": "app"}]`
	for pod, want := range map[string]string{
		``:                                       "it is no JSON object: EOF",
		`null`:                                   "spec.containers is missing",
		`[]`:                                     "it is no JSON object: json: cannot unmarshal array into Go value of type map[string]interface {}",
		`{"spec": {`:                             "it is no JSON object: unexpected EOF",
		`{"spec": {"containers": []}} x`:         "there is something after the JSON object",
		`{"spec": {}}`:                           "spec.containers is missing",
		`{"spec": []}`:                           "spec is not an object\nspec.containers is missing",
		`{"metadata": 1, "spec": {` + app + `}}`: "metadata is not an object",
		`{"metadata": {"labels": ["x"]}, "spec": {` + app + `}}`:                     "metadata.labels is not an object",
		`{"metadata": {"annotations": {"a": 1}}, "spec": {` + app + `}}`:             "metadata.annotations.a is not a string",
		`{"spec": {"containers": {}}}`:                                               "spec.containers is not a list",
		`{"spec": {"containers": [null, 1]}}`:                                        "spec.containers[0] is not an object\nspec.containers[1] is not an object",
		`{"spec": {"containers": [{"name": 5, "env": 5}]}}`:                          "spec.containers[0].name is not a string\nspec.containers[0].env is not a list",
		`{"spec": {"containers": [{"env": [{"name": {}, "value": 1}]}]}}`:            "spec.containers[0].env[0].name is not a string\nspec.containers[0].env[0].value is not a string",
		`{"spec": {"containers": [{"env": [{"valueFrom": "x"}]}]}}`:                  "spec.containers[0].env[0].valueFrom is not an object",
		`{"spec": {"containers": [{"volumeMounts": [{"mountPath": true}]}]}}`:        "spec.containers[0].volumeMounts[0].mountPath is not a string",
		`{"spec": {"initContainers": "x", ` + app + `}}`:                             "spec.initContainers is not a list",
		`{"spec": {"volumes": {"name": "x"}, ` + app + `}}`:                          "spec.volumes is not a list",
		`{"spec": {"hostNetwork": "true", ` + app + `}}`:                             "spec.hostNetwork is not true or false",
		`{"spec": {"os": "linux", ` + app + `}}`:                                     "spec.os is not an object",
		`{"spec": {"serviceAccountName": 1, ` + app + `}}`:                           "spec.serviceAccountName is not a string",
		`{"spec": {"securityContext": {"sysctls": [[]]}, ` + app + `}}`:              "spec.securityContext.sysctls[0] is not an object",
		`{"spec": {"hostAliases": [{"ip": 1}], "imagePullSecrets": 1, ` + app + `}}`: "spec.imagePullSecrets is not a list\nspec.hostAliases[0].ip is not a string",
	} {
		result, err := regional(t).Inject(inject.Request{Pod: []byte(pod)})
		if want = "the Pod cannot be read: " + want; err == nil || err.Error() != want {
			t.Errorf("Inject(%s) = %v, %v, want %s", pod, result, err, want)
		}
		if _, refused := errors.AsType[*inject.Refusal](err); refused {
			t.Errorf("Inject(%s) refuses what is no Pod", pod)
		}
	}
}

// A list of a hundred thousand mistakes is told with the first of them.
func TestMistakesAreBounded(t *testing.T) {
	pod := asking(`"containers": [{"name": "app"}], "volumes": [`+strings.Repeat("1,", 100_000)+`1]`, "")
	_, err := regional(t).Inject(inject.Request{Pod: pod})
	if err == nil || !strings.Contains(err.Error(), "spec.volumes[0] is not an object") || len(err.Error()) > 4<<10 {
		t.Errorf("Inject = %.200v…", err)
	}
}

// null is how JSON says that something is absent.
func TestNullIsAbsent(t *testing.T) {
	pod := asking(`"initContainers": null, "volumes": null, "securityContext": null, "os": null, "hostNetwork": null,
		"containers": [{"name": "app", "env": null, "volumeMounts": null}]`, `, "example.test/nothing": null`)
	result, err := regional(t).Inject(inject.Request{Pod: pod})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := injecttest.Apply(pod, result.Patch); err != nil {
		t.Error(err)
	}
}

// Size and depth are what an API server lets through, and more.
func TestLargePods(t *testing.T) {
	var containers strings.Builder
	for n := range 20000 {
		fmt.Fprintf(&containers, `, {"name": "c%d", "env": [{"name": "AWS_PROFILE", "value": "%s"}]}`, n, strings.Repeat("x", 100))
	}
	large := asking(`"containers": [{"name": "app"}`+containers.String()+`]`, "")
	if len(large) < 3<<20 {
		t.Fatalf("%d bytes are not large", len(large))
	}
	result, err := regional(t).Inject(inject.Request{Pod: large})
	if err != nil || len(result.Warnings) != 20000 {
		t.Errorf("Inject of 20001 containers = %v", err)
	}
	for _, bomb := range []string{strings.Repeat("[", 1<<20), strings.Repeat(`{"a":`, 1<<18), `{"spec":` + strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000) + `}`} {
		if _, err := regional(t).Inject(inject.Request{Pod: []byte(bomb)}); err == nil {
			t.Errorf("Inject of %d nested things: no error", len(bomb))
		}
	}
}

// A sentence that a client sees has no room for everything that somebody can write.
func TestLongValuesAreCut(t *testing.T) {
	const want = "wisp cannot be injected: annotation wisp-sidecar.github.io/%s is '%s…', want %s"
	for name, test := range map[string]struct{ value, shown, want string }{
		"log-level":       {strings.Repeat("é", 50<<10), strings.Repeat("é", 100), "debug, info, warn or error"},
		"outlets":         {strings.Repeat("imds,", 201), strings.Repeat("imds,", 20), "awsContainer, imds, gceMetadata, appService or azureIMDS"},
		"skip-containers": {strings.Repeat("app;", 501), strings.Repeat("app;", 25), "names of containers"},
		"tokens":          {strings.Repeat("a=bcd,,,,,", 201), strings.Repeat("a=bcd,,,,,", 10), "NAME=AUDIENCE"},
	} {
		pod := asking(`"containers": [{"name": "app"}]`, `, "wisp-sidecar.github.io/config": "x", "wisp-sidecar.github.io/`+name+`": "`+test.value+`"`)
		_, err := regional(t).Inject(inject.Request{Pod: pod})
		if want := fmt.Sprintf(want, name, test.shown, test.want); err == nil || err.Error() != want {
			t.Errorf("Inject = %v, want %s", err, want)
		}
	}
}

// No Pod makes Inject panic. What it says can be applied, leaves all that was there, and is all that there is to do.
func FuzzInject(f *testing.F) {
	for _, c := range injecttest.Read(f, "testdata") {
		account, err := json.Marshal(c.Account.Annotations)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(c.Policy, account, c.Pod)
	}
	f.Fuzz(func(t *testing.T, document, account, pod []byte) {
		policy, err := inject.ParsePolicy(document)
		if err != nil {
			return
		}
		r := inject.Request{Pod: pod}
		if json.Unmarshal(account, &r.Account.Annotations) != nil {
			return
		}
		first, err := policy.Inject(r)
		if err != nil {
			return
		}
		if r.Pod, err = injecttest.Apply(pod, first.Patch); err != nil {
			t.Fatalf("the patch cannot be applied: %v", err)
		}
		second, err := policy.Inject(r)
		if err != nil || len(second.Patch) > 0 {
			t.Fatalf("the second pass: %+v, %v", second, err)
		}
		if len(first.Patch) == 0 {
			return
		}
		var added []inject.Operation
		for _, operation := range first.Patch {
			if operation.Op == "add" {
				added = append(added, operation)
			}
		}
		before, err := injecttest.Apply(pod, nil)
		if err != nil {
			t.Fatal(err)
		}
		with, err := injecttest.Apply(pod, added)
		if err != nil {
			t.Fatal(err)
		}
		without, err := injecttest.Undo(with, added)
		if err != nil {
			t.Fatal(err)
		}
		// What was null is absent then.
		if same(t, before) != same(t, without) {
			t.Fatalf("without the additions the Pod is\n%s\nwant\n%s", without, before)
		}
	})
}

// same writes a document without what is null.
func same(t *testing.T, document []byte) string {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	var drop func(any) any
	drop = func(value any) any {
		if object, ok := value.(map[string]any); ok {
			for key, member := range object {
				if object[key] = drop(member); member == nil {
					delete(object, key)
				}
			}
		}
		if list, ok := value.([]any); ok {
			for n := range list {
				list[n] = drop(list[n])
			}
		}
		return value
	}
	text, err := json.Marshal(drop(value))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
