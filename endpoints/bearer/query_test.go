package bearer

import (
	"net/url"
	"strings"
	"testing"
)

// What gets through is text on one line, and what the standard library reads.
func FuzzParse(f *testing.F) {
	for _, query := range []string{
		"", "&", "scope=a+b", "scope=a&scope=b", "resource=https%3A%2F%2Fvault.azure.net", "resource=a%20b",
		"audience=https://x/y?z", "audience=%0a", "audience=%ff", "scope=%zz", "scope=a;b", "%73cope=a", "scope", "=", "scope=%22",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, refusal := parse(query)
		if refusal != nil {
			if q != (Query{}) {
				t.Errorf("parse(%q) = %+v along with a refusal", query, q)
			}
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("parse(%q) = %+v, but it is no query: %v", query, q, err)
		}
		for name, got := range map[string]string{"scope": q.Scope, "resource": q.Resource, "audience": q.Audience} {
			if got != values.Get(name) || len(values[name]) > 1 {
				t.Errorf("parse(%q): %s = %q, want %q", query, name, got, values[name])
			}
			if strings.ContainsAny(got, "\x00\r\n\t") {
				t.Errorf("parse(%q): %s = %q has control characters", query, name, got)
			}
		}
		if len(strings.Fields(q.Resource)) > 1 {
			t.Errorf("parse(%q): the resource %q is several", query, q.Resource)
		}
	})
}
