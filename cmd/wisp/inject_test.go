package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/agent/inject"
	"github.com/wisp-sidecar/wisp/agent/inject/injecttest"
)

// wisp inject does to a manifest what the webhook does to the Pod.
func TestInjectIsInjection(t *testing.T) {
	table := filepath.Join("..", "..", "agent", "inject", "testdata")
	policyFile, manifestFile := filepath.Join(t.TempDir(), "policy.json"), filepath.Join(t.TempDir(), "manifest.yaml")
	for _, c := range injecttest.Read(t, table) {
		policy, err := inject.ParsePolicy(c.Policy)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(policyFile, c.Policy, 0o600); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(table, "pods", c.Name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		// The table's Pods are in whichever namespace a cluster's test makes for them.
		text = bytes.ReplaceAll(text, []byte("metadata:\n  name: shop"), []byte("metadata:\n  name: \"\""))
		if err := os.WriteFile(manifestFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
		result, refusal := policy.Inject(c.Request())
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"inject", "--policy", policyFile, "-f", manifestFile}, &stdout, &stderr)
		if refusal != nil {
			if want := refusal.Error() + "\n"; code != exitConfig || stdout.Len() > 0 || !strings.HasSuffix(stderr.String(), want) {
				t.Errorf("%s: exit code %d, output %q, errors\n%s\nwant %s", c.Name, code, stdout.String(), stderr.String(), want)
			}
			continue
		}
		if code != 0 || strings.Count(stderr.String(), "\n") != len(result.Warnings) {
			t.Errorf("%s: exit code %d, errors\n%s\nwant the warnings %q", c.Name, code, stderr.String(), result.Warnings)
			continue
		}
		want, err := injecttest.Apply(c.Pod, result.Patch)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(value(t, want), value(t, podOf(t, stdout.Bytes()))); diff != "" {
			t.Errorf("%s: the Pod (-want +got):\n%s\n%s", c.Name, diff, stdout.String())
		}
	}
}

// podOf is the Pod among documents.
func podOf(t *testing.T, documents []byte) []byte {
	t.Helper()
	for decoder := yaml.NewDecoder(bytes.NewReader(documents)); ; {
		var document map[string]any
		if err := decoder.Decode(&document); err == io.EOF {
			t.Fatalf("no Pod in\n%s", documents)
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, documents)
		}
		if document["kind"] == "Pod" {
			text, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
}

func value(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// What the printer writes says what it has read, with the same comments.
func FuzzYAMLPrinter(f *testing.F) {
	for _, text := range []string{
		"a: 1\n", "# head\n\na: b # line\n# foot\n", "- a\n- - b\n  - c\n-\n  d: e\n", "a: {b: [1, 'two', \"three\", null, ~]}\n",
		"a: |\n  one\n   two\n\n  three\nb: |-\n  x\nc: |+\n  y\n\nd: >\n  folded\n  text\n\n  more\n", "a: 'it''s'\nb: \"\\u2028\\x00\\t\"\n",
		"'yes': no\n\"1\": 0x1F\n? complex\n: value\n", "a:\nb: \"\"\nc: ''\nd: []\ne: {}\n", "a: !!str 5\nb: !custom x\nc: !!binary aGk=\n",
		"list:\n- # of the item\n  a: b\n# between\n- c: d\n  # before e\n  e: f\n", "a: multi\n  line\n  plain\nb: 'multi\n\n  line'\n", "x\n", "[a, b]\n", "{a: b,\n c: d}\n",
		"a: |2\n    indented\nb: |\n  \ttab\n", "a: -\nb: '-'\nc: \"#\"\nd: 'a: b'\ne: 'a #b'\nf: '*x'\n", "a: 2020-01-01\nb: 1e3\nc: .inf\nd: 0o17\ne: 1_000\n",
		"a: \"\\x7f\\x85\\x9f\\ufeff\"\n", "a: &a b, c\nd: [*a, {e: *a}]\n", "a: &a {b: [c]}\nd:\n  <<: *a\n  e: <<\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err != nil || m.root == nil {
			return
		}
		budget := 1000
		root, err := dereference(m.root, &budget)
		if err != nil {
			return
		}
		var before any
		if err := m.root.Decode(&before); err != nil {
			return // repeated keys, for one
		}
		m.root, m.changed = root, true
		if bytes.HasPrefix(bytes.TrimSpace(m.text), []byte("{")) {
			return // printed as JSON
		}
		printed, err := m.print()
		if err != nil {
			t.Fatal(err)
		}
		var after any
		if err := yaml.Unmarshal(printed, &after); err != nil {
			t.Fatalf("%q is printed as %q: %v", text, printed, err)
		}
		if !reflect.DeepEqual(before, after) && !cmp.Equal(before, after) {
			t.Fatalf("%q is printed as %q, which is %#v and not %#v", text, printed, after, before)
		}
	})
}
