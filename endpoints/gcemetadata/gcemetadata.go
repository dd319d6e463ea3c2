// Package gcemetadata emulates the metadata server of Google Compute Engine and GKE, as far as client
// libraries, gcloud and logging agents read it. Everything but tokens is answered from configuration,
// whatever the state of the credentials: a client that gets one early error concludes for minutes, or
// for good, that it does not run on Google Cloud.
//
// https://cloud.google.com/compute/docs/metadata/querying-metadata
package gcemetadata

import (
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// Name is the outlet's kind.
const Name = "gceMetadata"

// Options describe the outlet. What is not set is not found, which clients take for "unknown".
type Options struct {
	// Accounts are the identities; the first is also reachable as "default". At least one.
	Accounts []Account

	ProjectID        string
	NumericProjectID string // digits; gcloud takes anything else for "not on Google Cloud"
	UniverseDomain   string // clients take none for googleapis.com
	Zone             string // "europe-west1-b"; shown only with a NumericProjectID, which is part of its form
	InstanceID       string // digits
	InstanceName     string
	Hostname         string            // of the instance, fully qualified
	Attributes       map[string]string // of the instance: "cluster-name", "cluster-location"; names without slashes

	// Now is the clock that "expires_in" is computed with; nil means time.Now.
	Now func() time.Time
}

// An Account is one identity, in the guise of a service account of the instance.
type Account struct {
	// Email is its name: a service account's e-mail, or with direct federation some other stable
	// text. It must have no slash and not be "default", and no other account may have it.
	Email string
	// Scopes are what a token has if nobody asks for others.
	Scopes []string
	// Provider has to yield a refresher.Bearer: for the zero Target, for scopes and, with IDTokens,
	// for audiences.
	Provider endpoints.Provider
	// IDTokens says that the identity can mint ID tokens. With direct federation none can.
	IDTokens bool
}

// New returns the protocol.
func New(o Options) *endpoints.Protocol {
	if o.Now == nil {
		o.Now = time.Now
	}
	// Probes ask for the root, some of them without the header.
	routes := endpoints.Routes{"/": {Methods: endpoints.Read, Open: true, Handler: root}}
	newTree(o).addTo(routes, "", make(parking, maxParked))
	return &endpoints.Protocol{
		Name:           Name,
		Hosts:          []string{"metadata.google.internal", "metadata.google.internal.", "metadata", "169.254.169.254"},
		Routes:         routes,
		Territory:      "/computeMetadata/",
		GuardTerritory: true,
		Single:         []string{"Metadata-Flavor"},
		Guard:          guard,
		Refuse:         refuse,
	}
}

// guard demands the header that server-side request forgery can rarely set.
func guard(r *http.Request) *endpoints.Refusal {
	if r.Header.Get("Metadata-Flavor") != "Google" {
		return endpoints.Refuse(endpoints.Forbidden, "the header Metadata-Flavor: Google is missing")
	}
	return nil
}

func root(w http.ResponseWriter, _ *http.Request) *endpoints.Refusal {
	reply(w, http.StatusOK, bare, []byte("computeMetadata/\n"))
	return nil
}

// refuse answers in text; the clients look at the status only.
func refuse(w http.ResponseWriter, _ *http.Request, refusal *endpoints.Refusal) {
	reply(w, refusal.Reason.Status(), endpoints.Text, []byte(refusal.Message+"\n"))
}

// bare is the media type of the real server's values and listings.
const bare = "application/text"

// reply writes an answer.
func reply(w http.ResponseWriter, status int, mediaType string, body []byte) {
	identify(w)
	endpoints.Reply(w, status, mediaType, body)
}

// identify sets what every answer has: clients believe none without the flavour, be it a 404.
func identify(w http.ResponseWriter) {
	values := [...]string{"Google", "Metadata Server for VM"}
	h := w.Header()
	h["Metadata-Flavor"] = values[0:1:1]
	h["Server"] = values[1:2:2]
}
