package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
)

// A file that somebody has made for Google's client libraries is served to programs that know nothing of
// such files.
func TestExternalAccountsAreServed(t *testing.T) {
	all := newPairs(t)
	documents, err := all.ExternalAccounts()
	if err != nil {
		t.Fatal(err)
	}
	for kind, document := range documents {
		t.Run(kind, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "adc.json")
			if err := os.WriteFile(file, document, 0o600); err != nil {
				t.Fatal(err)
			}
			outlets := freeAddress(t)
			c, err := agent.Parse("config.yaml", fmt.Appendf(nil, `
upstream: {allowInsecureLoopback: true}
health: {listen: off}
identities:
- name: reports
  externalAccount: {path: %q, allowExecutable: true}
outlets:
- identity: reports
  gceMetadata: {listen: %q}
`, file, outlets))
			if err != nil {
				t.Fatal(err)
			}
			a, err := agent.New(c, agent.Options{Getenv: func(string) string { return "" }})
			if err != nil {
				t.Fatal(err)
			}
			w := &world{T: t}
			w.run(a)
			ask := func(what string) (body string) {
				eventually(t, what, func() bool { // the listener is opened, then the credential fetched
					got, err := w.try(outlets, "/computeMetadata/v1/instance/service-accounts/default/"+what, "Metadata-Flavor: Google")
					body = got.body
					return err == nil && got.status == http.StatusOK
				})
				return body
			}
			var token struct {
				AccessToken string `json:"access_token"`
			}
			if err := json.Unmarshal([]byte(ask("token")), &token); err != nil {
				t.Fatal(err)
			}
			want, email := "serviceAccount:reports@shop-prod.iam.gserviceaccount.com", "reports@shop-prod.iam.gserviceaccount.com"
			if kind == "direct" {
				want = "principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/shop/subject/system:serviceaccount:shop:reports"
				email = "reports@shop.global.123456789.workload.id.goog"
			}
			if got, valid := all.Google.Principal(token.AccessToken); !valid || got != want {
				t.Errorf("Google takes the token for %q, %v; want %s", got, valid, want)
			}
			if got := ask("email"); got != email {
				t.Errorf("the account is called %q, want %s", got, email)
			}
		})
	}
}
