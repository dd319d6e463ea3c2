package agent

import (
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/entra"
)

// Target is what a credential is asked for in a cloud's own words: scopes, or an Entra resource, or the
// audience of an ID token. All empty gives the zero Target, the identity's default.
func Target(scopes []string, resource, audience string) refresher.Target {
	if resource != "" {
		return refresher.Target{Scope: entra.Scope(resource)}
	}
	return refresher.Target{Scope: refresher.Scopes(scopes...), Audience: audience}
}
