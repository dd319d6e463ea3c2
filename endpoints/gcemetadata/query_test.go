package gcemetadata

import (
	"net/url"
	"strings"
	"testing"
)

func FuzzParameter(f *testing.F) {
	for _, query := range []string{
		"", "&", "=", "a", "a=", "a=b", "a=b&a=c", "b=1&a=2", "a=https://x/y?z=1", "a=https%3A%2F%2Fx%2Fy%3Fz%3D1&b",
		"a=1;b=2", "a=%", "a=%zz", "a=%00", "a=%ff", "a=+", "aa=1&a=2", "%61=1",
	} {
		f.Add(query, "a")
	}
	f.Fuzz(func(t *testing.T, query, name string) {
		got, found := parameter(query, name)
		if !found && got != "" {
			t.Errorf("parameter(%q, %q) = %q, but not found", query, name, got)
		}
		// Of a well-formed query the standard library reads the same.
		values, err := url.ParseQuery(query)
		if err != nil || strings.ContainsAny(name, "&=%+") || strings.Contains(query, "&&") || name == "" {
			return
		}
		for pair := range strings.SplitSeq(query, "&") {
			key, _, _ := strings.Cut(pair, "=")
			if strings.ContainsAny(key, "%+") {
				return
			}
		}
		if got != values.Get(name) || found != values.Has(name) {
			t.Errorf("parameter(%q, %q) = %q, %v, want %q, %v", query, name, got, found, values.Get(name), values.Has(name))
		}
	})
}
