package agent_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/agent"
)

// hostile are values that could break out of a line of some format: paths may have any character.
var hostile = map[string]string{
	"QUOTES": `it's "quoted" ‘so’`, "DOLLAR": "$HOME $(id) ${HOME} `id`", "BACKSLASH": `a\nb\`, "LINES": "one\ntwo\r\n", "BLANKS": " a  b ",
	"HASH": "a #b", "EMPTY": "", "PLAIN": "http://127.0.0.1:9911/aws/reports?a=b&c",
}

func hostileEnvironment() *agent.ClientEnvironment {
	e := &agent.ClientEnvironment{Sections: []agent.Section{{Title: "all of them", Unset: []string{"GONE", "GONE_TOO"}}}}
	for name, value := range hostile {
		e.Sections[0].Set = append(e.Sections[0].Set, agent.Variable{Name: name, Value: value})
	}
	return e
}

func encoded(t *testing.T, format string) string {
	t.Helper()
	text, err := hostileEnvironment().Encode(format)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A shell gets each value as it is, and loses what is to be unset.
func TestClientEnvironmentForShell(t *testing.T) {
	script := encoded(t, "sh") + `exec env -0`
	shell := exec.Command("sh", "-euc", script)
	shell.Env = []string{"PATH=/usr/bin:/bin", "GONE=x", "HOME=/root"}
	out, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	entries := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for name, value := range hostile {
		if !slices.Contains(entries, name+"="+value) {
			t.Errorf("%s is not %q in %q", name, value, entries)
		}
	}
	if slices.Contains(entries, "GONE=x") {
		t.Error("GONE is still there")
	}
}

// Each format that is data says what it should to those who read such data.
func TestClientEnvironmentAsData(t *testing.T) {
	var object map[string]string
	if err := json.Unmarshal([]byte(encoded(t, "json")), &object); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hostile, object); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}

	var list []struct{ Name, Value string }
	if err := yaml.Unmarshal([]byte(encoded(t, "k8s")), &list); err != nil {
		t.Fatal(err)
	}
	manifest := map[string]string{}
	for _, v := range list {
		manifest[v.Name] = strings.ReplaceAll(v.Value, "$$(", "$(") // as Kubernetes reads it
		if strings.Contains(strings.ReplaceAll(v.Value, "$$", ""), "$(") {
			t.Errorf("k8s: Kubernetes would replace something in %q", v.Value)
		}
	}
	if diff := cmp.Diff(hostile, manifest); diff != "" {
		t.Errorf("k8s (-want +got):\n%s", diff)
	}
}

// The rest is not run here: there is no such shell. Nothing gets out of its quotes by their rules.
func TestClientEnvironmentQuotes(t *testing.T) {
	for format, want := range map[string][]string{
		"fish":       {`set -gx QUOTES 'it\'s "quoted" ‘so’'`, `set -gx BACKSLASH 'a\\nb\\'`, `set -e GONE`},
		"powershell": {`$Env:QUOTES = 'it''s "quoted" ‘‘so’’'`, `$Env:BACKSLASH = 'a\nb\'`, `Remove-Item Env:GONE -ErrorAction Ignore`},
		"dotenv":     {`QUOTES="it's \"quoted\" ‘so’"`, `LINES="one\ntwo\r\n"`, "DOLLAR=\"\\$HOME \\$(id) \\${HOME} \\`id\\`\"", "PLAIN=" + hostile["PLAIN"]},
	} {
		text := encoded(t, format)
		for _, line := range want {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("%s has no line %s:\n%s", format, line, text)
			}
		}
	}
	if strings.Contains(encoded(t, "dotenv"), "GONE") {
		t.Error("dotenv cannot unset anything, and mentions it")
	}
	if _, err := hostileEnvironment().Encode("csh"); err == nil {
		t.Error("Encode in a format that does not exist: no error")
	}
}

// Apply is what wisp exec gives to a command.
func TestClientEnvironmentApply(t *testing.T) {
	e := &agent.ClientEnvironment{Sections: []agent.Section{{Set: []agent.Variable{{Name: "SET", Value: "new"}}, Unset: []string{"GONE"}}}}
	got := e.Apply([]string{"SET=old", "GONE=x", "KEPT=a=b"})
	if diff := cmp.Diff([]string{"KEPT=a=b", "SET=new"}, got); diff != "" {
		t.Errorf("Apply (-want +got):\n%s", diff)
	}
}
