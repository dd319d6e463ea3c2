// Package endpoints is what all emulated HTTP protocols share: where credentials come from
// ([Provider]), the shape of a protocol ([Protocol]), the gate that every request passes before a
// handler sees it ([Server]), and the one place that turns an error into what a caller is told
// ([Explain]).
//
// A protocol is a package below this one. It lists its paths as data, checks its own header or
// secret, and writes its own bodies; it knows no cloud, no SDK and no configuration file.
package endpoints

import (
	"context"
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A Provider yields credentials; [*refresher.Identity] is one. Credential waits for a usable
// credential until ctx ends and then returns the last failure. The zero Target is the default.
type Provider interface {
	Credential(ctx context.Context, t refresher.Target) (refresher.Credential, error)
}

// Fetch asks p for a credential on behalf of r, and parks the request for at most hold while there
// is none. Clients give up after one to three seconds and then believe that there is no such
// service, so hold has to be shorter than the strictest client's patience.
func Fetch(r *http.Request, p Provider, t refresher.Target, hold time.Duration) (refresher.Credential, error) {
	ctx, cancel := context.WithTimeout(r.Context(), hold)
	defer cancel()
	return p.Credential(ctx, t)
}

// SecondsLeft is how long c still lives, rounded down, at least 0. It is computed for each answer:
// "expires_in" counts from the moment of answering.
func SecondsLeft(c refresher.Credential, now time.Time) int64 {
	return max(0, int64(c.Expires.Sub(now)/time.Second))
}
