package refresher_test

import (
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
)

func TestScopes(t *testing.T) {
	for _, c := range []struct {
		name   string
		scopes []string
		want   string
	}{
		{"none", nil, ""},
		{"one", []string{"a"}, "a"},
		{"sorted", []string{"c", "a", "b"}, "a b c"},
		{"once each", []string{"b", "a", "b"}, "a b"},
		{"split at white space", []string{"b a", " c\t"}, "a b c"},
		{"empty entries", []string{"", " ", "a"}, "a"},
		{"case matters", []string{"B", "a", "b"}, "B a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := refresher.Scopes(c.scopes...); got != c.want {
				t.Errorf("Scopes(%q) = %q, want %q", c.scopes, got, c.want)
			}
		})
	}
}

func TestEqualScopesAreOneTarget(t *testing.T) {
	a := refresher.Target{Scope: refresher.Scopes("y", "x", "y")}
	b := refresher.Target{Scope: refresher.Scopes("x y")}
	if a != b {
		t.Errorf("%+v and %+v differ", a, b)
	}
}
