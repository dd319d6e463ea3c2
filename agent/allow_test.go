package agent_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	platform  = "https://www.googleapis.com/auth/cloud-platform"
	readOnly  = "https://www.googleapis.com/auth/devstorage.read_only"
	bigquery  = "https://www.googleapis.com/auth/bigquery"
	manage    = "https://management.azure.com"
	vault     = "https://vault.azure.net"
	storage   = "https://storage.azure.com"
	reports   = "https://reports.example"
	elsewhere = "https://elsewhere.example"
)

// What an identity's lists leave out, a caller does not get, and no cloud hears of it.
func TestLists(t *testing.T) {
	w := newWorld(t)
	a := w.agent(w.document(
		googleIdentity+"  scopes: ["+readOnly+"]\n  audiences: ["+reports+"]\n"+
			entraIdentity+"  resources: ["+vault+"]\n", `
outlets:
- {identity: google, gceMetadata: {listen: "${OUTLETS}"}}
- {identity: azure, azureIMDS: {listen: "${OUTLETS}"}}
`), agent.Options{})
	w.run(a)
	w.started()

	for _, test := range []struct {
		name     string
		identity string
		target   refresher.Target
		allowed  bool
	}{
		{"the default", "google", refresher.Target{}, true},
		{"the default scope by name", "google", agent.Target([]string{platform}, "", ""), true},
		{"a listed scope", "google", agent.Target([]string{readOnly}, "", ""), true},
		{"a listed scope with the default one", "google", agent.Target([]string{readOnly, platform}, "", ""), true},
		{"another scope", "google", agent.Target([]string{bigquery}, "", ""), false},
		{"another scope with a listed one", "google", agent.Target([]string{readOnly, bigquery}, "", ""), false},
		{"a listed audience", "google", agent.Target(nil, "", reports), true},
		{"another audience", "google", agent.Target(nil, "", elsewhere), false},
		{"the beginning of a listed audience", "google", agent.Target(nil, "", reports[:10]), false},

		{"the default", "azure", refresher.Target{}, true},
		{"the default resource by name", "azure", agent.Target(nil, manage+"/", ""), true},
		{"the default resource without its slash", "azure", agent.Target(nil, manage, ""), true},
		{"a listed resource", "azure", agent.Target(nil, vault, ""), true},
		{"a listed resource with a slash", "azure", agent.Target(nil, vault+"/", ""), true},
		{"a listed resource as a scope", "azure", agent.Target(nil, vault+"/.default", ""), true},
		{"another resource", "azure", agent.Target(nil, storage, ""), false},
		{"more of a listed resource", "azure", agent.Target(nil, vault+".evil.example", ""), false},
	} {
		t.Run(test.identity+"/"+test.name, func(t *testing.T) {
			identity, _ := a.Identity(test.identity)
			before := w.google.Calls("") + w.entra.Calls("")
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err := identity.Credential(ctx, test.target)
			if test.allowed {
				if err != nil {
					t.Errorf("Credential(%+v) = %v", test.target, err)
				}
				return
			}
			if e := refresher.AsError(err); e == nil || e.Code != refresher.CodeTargetNotAllowed {
				t.Errorf("Credential(%+v) = %v, want %s", test.target, err, refresher.CodeTargetNotAllowed)
			}
			if calls := w.google.Calls("") + w.entra.Calls("") - before; calls != 0 {
				t.Errorf("%d requests to the cloud, want none", calls)
			}
		})
	}

	const account = "/computeMetadata/v1/instance/service-accounts/default/"
	for path, want := range map[string]int{
		account + "token?scopes=" + readOnly:                                               http.StatusOK,
		account + "token?scopes=" + bigquery:                                               http.StatusBadRequest,
		account + "identity?audience=" + reports:                                           http.StatusOK,
		account + "identity?audience=" + elsewhere:                                         http.StatusNotFound,
		"/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + vault:         http.StatusOK,
		"/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + storage:       http.StatusBadRequest,
		"/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + vault + "%0a": http.StatusBadRequest,
	} {
		if got := w.get(w.urls["OUTLETS"], path, "Metadata-Flavor: Google", "Metadata: true"); got.status != want {
			t.Errorf("%s = %d, want %d", path, got.status, want)
		}
	}
}

// Without lists everything may be asked for.
func TestNoLists(t *testing.T) {
	w := newWorld(t)
	a := w.agent(w.document(googleIdentity+entraIdentity, ""), agent.Options{})
	w.run(a)
	w.started()
	for name, target := range map[string]refresher.Target{
		"google": agent.Target([]string{bigquery}, "", ""),
		"azure":  agent.Target(nil, storage, ""),
	} {
		identity, _ := a.Identity(name)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := identity.Credential(ctx, target); err != nil {
			t.Errorf("Credential(%+v) of %s = %v", target, name, err)
		}
	}
}
