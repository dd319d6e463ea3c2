// Package injecttest reads the table of Pods that holds all who inject wisp against each other, and applies
// patches. It is for tests.
package injecttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

// A Case is one file of the table: a Pod and what is around it.
type Case struct {
	Name            string // of the file, without .yaml
	Comment         string // its first line: what it shows
	NamespaceLabels map[string]string
	Account         inject.Account // named default if there is no ServiceAccount in the file
	Overlay         map[string]any // what differs from the table's policy; nil: nothing
	Policy          []byte         // JSON of the policy document, with the overlay
	Pod             []byte         // JSON
}

// Request is what to ask a policy with.
func (c Case) Request() inject.Request {
	return inject.Request{Pod: c.Pod, Account: c.Account, NamespaceLabels: c.NamespaceLabels}
}

// Read reads the table in dir: policy.yaml, and pods/*.yaml, by name.
func Read(t testing.TB, dir string) []Case {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "pods", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Pods in %s: %v", dir, err)
	}
	policy := documents(t, filepath.Join(dir, "policy.yaml"))[0]
	var cases []Case
	for _, file := range files {
		cases = append(cases, readCase(t, file, policy))
	}
	return cases
}

func readCase(t testing.TB, file string, policy map[string]any) Case {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	c := Case{
		Name:    strings.TrimSuffix(filepath.Base(file), ".yaml"),
		Comment: strings.TrimPrefix(first, "# "),
		Account: inject.Account{Name: "default"},
	}
	if c.Comment == first {
		t.Fatalf("%s: the first line is no comment that says what it shows", file)
	}
	for _, document := range documents(t, file) {
		metadata, _ := document["metadata"].(map[string]any)
		switch document["kind"] {
		case "Namespace":
			c.NamespaceLabels = texts(metadata["labels"])
		case "ServiceAccount":
			c.Account = inject.Account{Name: fmt.Sprint(metadata["name"]), Annotations: texts(metadata["annotations"])}
		case "Policy":
			delete(document, "kind")
			c.Overlay = document
		case "Pod":
			c.Pod = encode(t, document)
		default:
			t.Fatalf("%s: a document of kind %v", file, document["kind"])
		}
	}
	c.Policy = encode(t, merge(policy, c.Overlay))
	return c
}

func documents(t testing.TB, file string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document map[string]any
		err := decoder.Decode(&document)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, document)
	}
}

func texts(object any) map[string]string {
	all := map[string]string{}
	members, _ := object.(map[string]any)
	for key, value := range members {
		all[key] = fmt.Sprint(value)
	}
	return all
}

// merge puts over on base as Helm does: objects member by member, all else as a whole.
func merge(base, over map[string]any) map[string]any {
	merged := map[string]any{}
	for key, value := range base {
		merged[key] = value
	}
	for key, value := range over {
		inner, ok := value.(map[string]any)
		if below, both := merged[key].(map[string]any); ok && both {
			merged[key] = merge(below, inner)
			continue
		}
		merged[key] = value
	}
	return merged
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Apply applies a patch as RFC 6902 has it, and insists on what injection promises: it adds what is not there,
// and replaces nothing but the values of variables. The result is JSON with sorted keys.
func Apply(document []byte, patch []inject.Operation) ([]byte, error) {
	root, err := decode(document)
	if err != nil {
		return nil, err
	}
	for _, operation := range patch {
		// As a client would see it.
		text, err := json.Marshal(operation.Value)
		if err != nil {
			return nil, err
		}
		value, err := decode(text)
		if err != nil {
			return nil, err
		}
		keys := strings.Split(operation.Path, "/")[1:]
		if root, err = change(root, operation.Op, keys, value); err != nil {
			return nil, fmt.Errorf("%s %s: %w", operation.Op, operation.Path, err)
		}
	}
	return json.Marshal(root)
}

// Undo takes back what Apply has added.
func Undo(document []byte, patch []inject.Operation) ([]byte, error) {
	root, err := decode(document)
	for n := len(patch) - 1; n >= 0 && err == nil; n-- {
		root, err = change(root, "remove", strings.Split(patch[n].Path, "/")[1:], nil)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(root)
}

// decode keeps numbers as they are written.
func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

func change(in any, op string, keys []string, value any) (any, error) {
	switch in := in.(type) {
	case map[string]any:
		if len(keys) > 1 {
			below, err := change(in[keys[0]], op, keys[1:], value)
			in[keys[0]] = below
			return in, err
		}
		switch {
		case op == "remove":
			delete(in, keys[0])
			return in, nil
		case op == "add" && in[keys[0]] != nil:
			return nil, errors.New("it is there already")
		case op == "replace" && in[keys[0]] == nil:
			return nil, errors.New("it is not there")
		}
		in[keys[0]] = value
		return in, nil
	case []any:
		at, err := index(keys[0], len(in), op)
		if err != nil {
			return nil, err
		}
		switch {
		case len(keys) > 1:
			in[at], err = change(in[at], op, keys[1:], value)
			return in, err
		case op == "remove":
			return append(in[:at:at], in[at+1:]...), nil
		case op == "add":
			return append(in[:at:at], append([]any{value}, in[at:]...)...), nil
		}
	}
	return nil, fmt.Errorf("there is no %s", strings.Join(keys, "/"))
}

// index is the place that a key names in a list of n; for what is added that can be behind the last one, and
// what is removed from there is the last one.
func index(key string, n int, op string) (int, error) {
	var at int
	switch {
	case key == "-" && op == "add":
		return n, nil
	case key == "-" && op == "remove":
		at = n - 1
	default:
		if _, err := fmt.Sscanf(key, "%d", &at); err != nil {
			return 0, err
		}
	}
	if at < 0 || at > n || at == n && op != "add" {
		return 0, fmt.Errorf("the list has no place %s", key)
	}
	return at, nil
}
