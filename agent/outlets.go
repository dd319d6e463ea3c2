package agent

import (
	"cmp"
	"path"
	"strings"
)

// at says where an HTTP outlet is, for people.
func at(listen, path string) string {
	return "http://" + cmp.Or(listen, defaultListen) + path
}

// anyIdentity stands for an identity's name.
const anyIdentity = "IDENTITY"

// only refuses every shape but one.
func only(want, got shape) string {
	if got == want {
		return ""
	}
	return "this outlet shows " + string(want)
}

// plainPath: every client spells it the same way.
func plainPath(p string) bool {
	return strings.HasPrefix(p, "/") && len(p) > 1 && path.Clean(p) == p && !strings.ContainsAny(p, "%?#;\\ \t\r\n")
}
