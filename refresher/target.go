package refresher

import (
	"slices"
	"strings"
)

// A Target says what a credential is for. The zero Target is the identity's default. It is
// comparable, and is the cache key: two Targets that mean the same must be equal, so build the
// scope with [Scopes].
type Target struct {
	Scope    string // space-separated, sorted: Google scopes, or an Entra "<resource>/.default"
	Audience string // non-empty asks for an ID token for this audience
}

// String names the target in logs: its scopes, or "audience " and its audience.
func (t Target) String() string {
	switch {
	case t.Audience != "":
		return "audience " + t.Audience
	case t.Scope != "":
		return t.Scope
	}
	return "default"
}

// Scopes joins scopes into the canonical form of [Target.Scope]: sorted, without duplicates or
// empty entries, separated by one space.
func Scopes(scopes ...string) string {
	var fields []string
	for _, s := range scopes {
		fields = append(fields, strings.Fields(s)...)
	}
	slices.Sort(fields)
	return strings.Join(slices.Compact(fields), " ")
}
