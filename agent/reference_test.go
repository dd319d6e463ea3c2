package agent

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	referencePage  = "../docs/configuration.md"
	referenceBegin = "<!-- From here on made from the source: go test ./agent -run TestReference -update -->\n"
	referenceEnd   = "<!-- Until here. -->\n"
)

// A section of the reference is a kind, or a part of the document that has none.
type section struct {
	title string
	of    reflect.Type // a struct
}

// sections are all structs that a document can fill.
func sections() []section {
	list := []section{
		{"The document", reflect.TypeFor[Config]()},
		{"An identity", reflect.TypeFor[IdentityConfig]()},
	}
	for _, k := range sourceKinds {
		list = append(list, section{"Source `" + k.name + "`", reflect.TypeOf(k.new()).Elem()})
	}
	for _, k := range exchangeKinds {
		list = append(list, section{"Exchange `" + k.name + "`", reflect.TypeOf(k.new()).Elem()})
	}
	list = append(list, section{"An outlet", reflect.TypeFor[OutletConfig]()})
	for _, k := range outletKinds {
		list = append(list, section{"Outlet `" + k.name + "`", reflect.TypeOf(k.new()).Elem()})
	}
	return list
}

// keys lists the keys of a struct with what its doc tags say, those of an object within it as
// "object.key", those of a list's objects as "list[].key" unless they have a section of their own.
func keys(of reflect.Type, prefix string) [][2]string {
	var list [][2]string
	for field := range of.Fields() {
		name := field.Tag.Get("yaml")
		if name == "" || name == ",kind" {
			continue
		}
		list = append(list, [2]string{prefix + name, field.Tag.Get("doc")})
		inner := field.Type
		switch inner.Kind() {
		case reflect.Pointer:
			inner = inner.Elem()
		case reflect.Slice:
			inner, name = inner.Elem(), name+"[]"
			if inner == reflect.TypeFor[IdentityConfig]() || inner == reflect.TypeFor[OutletConfig]() {
				continue
			}
		}
		if strings.HasSuffix(inner.Name(), "Config") {
			list = append(list, keys(inner, prefix+name+".")...)
		}
	}
	return list
}

// The reference in the documentation is what the structs say.
func TestReference(t *testing.T) {
	var tables strings.Builder
	for _, s := range sections() {
		fmt.Fprintf(&tables, "\n### %s\n\n", s.title)
		list := keys(s.of, "")
		if len(list) == 0 {
			tables.WriteString("It has no options.\n")
			continue
		}
		tables.WriteString("| key | meaning |\n| --- | --- |\n")
		for _, key := range list {
			fmt.Fprintf(&tables, "| `%s` | %s |\n", key[0], strings.ReplaceAll(key[1], "|", `\|`))
		}
	}
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), referenceBegin)
	old, after, ends := strings.Cut(rest, referenceEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the marks around the tables", referencePage)
	}
	tables.WriteString("\n")
	if *Update {
		if err := os.WriteFile(referencePage, []byte(before+referenceBegin+tables.String()+referenceEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, tables.String()); diff != "" {
		t.Errorf("%s is not what the structs say; run this test with -update (-page +structs):\n%s", referencePage, diff)
	}
	for _, s := range sections() {
		if _, kind, ok := strings.Cut(s.title, "`"); ok && !strings.Contains(before, "`"+kind+":") {
			t.Errorf("the table of kinds in %s lacks %s", referencePage, s.title)
		}
	}
}

// Whoever adds a field has to say what it means, and to give it a key that can be set.
func TestEveryFieldIsDocumented(t *testing.T) {
	camelCase := regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	for _, s := range sections() {
		for field := range s.of.Fields() {
			where := s.of.Name() + "." + field.Name
			switch name, doc := field.Tag.Get("yaml"), field.Tag.Get("doc"); {
			case !field.IsExported(), name == ",kind":
			case !camelCase.MatchString(name):
				t.Errorf("%s has the key %q, want one in camel case", where, name)
			case doc == "", strings.ContainsAny(doc, "\n"), strings.HasSuffix(doc, "."):
				t.Errorf("%s has the doc tag %q, want what it means in one line without a full stop", where, doc)
			}
		}
	}
}

// The examples of the documentation are right, and worth no warning.
func TestDocumentedExamples(t *testing.T) {
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("there is no example")
	}
	for n, block := range blocks {
		c, err := Parse(fmt.Sprintf("example %d", n+1), []byte(block[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		if warnings := c.Warnings(); len(warnings) > 0 {
			t.Errorf("example %d: Warnings() = %v, want none", n+1, warnings)
		}
	}
}

// The defaults that the doc tags promise.
func TestDocumentedDefaults(t *testing.T) {
	floors := map[string]time.Duration{"aws": 15 * time.Minute, "google": 6 * time.Minute, "entra": 6 * time.Minute, "oauthSTS": time.Minute, "subject": 0}
	for _, k := range exchangeKinds {
		want, known := floors[k.name]
		if got := k.new().floor(); !known || got != want {
			t.Errorf("the floor of %s is %v, the documentation says %v", k.name, got, want)
		}
	}
	var c Config
	if got := c.Health.address(); got != "127.0.0.1:9910" {
		t.Errorf("probes are answered at %s", got)
	}
	if address, err := loopback(""); err != nil || address.String() != "127.0.0.1:9911" {
		t.Errorf("outlets listen on %v, %v", address, err)
	}
	if refresher.DefaultPoolSize != 64 {
		t.Errorf("there is room for %d scopes, resources and audiences", refresher.DefaultPoolSize)
	}
	if got := c.Drain.most(); got != 5*time.Second {
		t.Errorf("draining takes at most %v", got)
	}
	if i := (IdentityConfig{}); !i.IsRequired() {
		t.Error("an identity is not required")
	}
}
