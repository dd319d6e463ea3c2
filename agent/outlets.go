package agent

import (
	"cmp"
	"path"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
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

// checkPath reports a path that clients might spell differently. None is all right: there is a default.
func checkPath(p string) []refresher.FieldError {
	if p == "" || plainPath(p) {
		return nil
	}
	return []refresher.FieldError{{Field: "path", Problem: "must be an absolute path without empty, dotted or escaped parts"}}
}

// requireSecret reports that an outlet which always demands a secret has none.
func requireSecret(p secretPlace) []refresher.FieldError {
	if p != (secretPlace{}) {
		return nil
	}
	return []refresher.FieldError{{Field: "secretFile", Problem: "is missing: clients of this endpoint always send a secret (or set secretEnv)"}}
}

// plainPath: every client spells it the same way.
func plainPath(p string) bool {
	return strings.HasPrefix(p, "/") && len(p) > 1 && path.Clean(p) == p && !strings.ContainsAny(p, "%?#;\\ \t\r\n")
}
