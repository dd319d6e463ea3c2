package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// environmentFormats write a ClientEnvironment down. Those for shells are source for them.
var environmentFormats = map[string]func(*ClientEnvironment) string{
	"sh":         posix.write,
	"fish":       language{set: "set -gx %s %s\n", quote: quoteFish, unset: "set -e %s\n"}.write,
	"powershell": language{set: "$Env:%s = %s\n", quote: quotePowerShell, unset: "Remove-Item Env:%s -ErrorAction Ignore\n"}.write,
	"dotenv":     language{set: "%s=%s\n", quote: quoteDotenv}.write,
	"json":       (*ClientEnvironment).json,
	"k8s":        (*ClientEnvironment).manifest,
}

// EnvironmentFormats are the names that [ClientEnvironment.Encode] knows.
func EnvironmentFormats() []string { return slices.Sorted(maps.Keys(environmentFormats)) }

// Encode writes the environment down:
//
//   - sh, fish, powershell: source for such a shell, which also unsets what is in the way;
//   - dotenv: lines NAME=value, quoted only where they have to be;
//   - json: one object, name to value;
//   - k8s: the entries of a container's env. Secrets are the Pod's UID there, which the sidecar has to be
//     given, too, in the variable that the outlet's secretEnv names.
func (e *ClientEnvironment) Encode(format string) (string, error) {
	encode, known := environmentFormats[format]
	if !known {
		return "", fmt.Errorf("there is no format %q; known are %s", format, strings.Join(EnvironmentFormats(), ", "))
	}
	return encode(e), nil
}

// A language has one statement a line, and comments that begin with #.
type language struct {
	set    string // with the name and the quoted value
	quote  func(string) string
	unset  string // with one name, or with all of them; empty: there is no such thing
	all    bool
	script bool // sections may bring statements of their own
}

var posix = language{set: "export %s=%s\n", quote: quoteShell, unset: "unset %s\n", all: true, script: true}

func (l language) write(e *ClientEnvironment) string {
	var text strings.Builder
	for _, s := range e.Sections {
		names := s.Unset
		if l.unset == "" {
			names = nil
		} else if l.all && len(names) > 0 {
			names = []string{strings.Join(names, " ")}
		}
		if len(s.Set) == 0 && len(names) == 0 {
			continue
		}
		fmt.Fprintf(&text, "# %s\n", s.Title)
		if l.script && s.script != "" {
			text.WriteString(s.script)
			continue
		}
		for _, v := range s.Set {
			fmt.Fprintf(&text, l.set, v.Name, l.quote(v.Value))
		}
		for _, name := range names {
			fmt.Fprintf(&text, l.unset, name)
		}
	}
	return text.String()
}

// quoteShell: nothing is special between single quotes but their end.
func quoteShell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func quoteFish(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

// quotePowerShell doubles each quote; PowerShell takes typographic ones for the plain one.
func quotePowerShell(text string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(text) + "'"
}

// quoteDotenv leaves plain values as they are, for readers that know no quotes, docker's among them.
func quoteDotenv(text string) string {
	if !strings.ContainsAny(text, " \t\r\n\"'\\$`#") {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`", "\n", `\n`, "\r", `\r`).Replace(text) + `"`
}

func (e *ClientEnvironment) json() string {
	all := map[string]string{}
	for _, s := range e.Sections {
		for _, v := range s.Set {
			all[v.Name] = v.Value
		}
	}
	return indented(all)
}

// manifest is YAML; its strings are written as JSON. Kubernetes replaces $(NAME), unless the dollar is
// doubled.
func (e *ClientEnvironment) manifest() string {
	var text strings.Builder
	for _, s := range e.Sections {
		if len(s.Set) == 0 {
			continue
		}
		fmt.Fprintf(&text, "# %s\n", s.Title)
		for _, v := range s.Set {
			if v.Secret {
				fmt.Fprintf(&text, "- name: %s\n  valueFrom: {fieldRef: {fieldPath: metadata.uid}}\n", v.Name)
				continue
			}
			fmt.Fprintf(&text, "- name: %s\n  value: %s\n", v.Name, inJSON(strings.ReplaceAll(v.Value, "$(", "$$(")))
		}
	}
	return text.String()
}

func inJSON(text string) string {
	line, _ := json.Marshal(text) // a string always marshals
	return string(line)
}

func indented(v map[string]string) string {
	text, _ := json.MarshalIndent(v, "", "  ") // strings always marshal
	return string(text) + "\n"
}
