package agent_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
)

// What the configuration says is all there before any credential is, and so is what can never be: with direct
// federation there are no ID tokens, and gcloud must not be told to come again for one.
func TestGCEMetadataIsAsConfigured(t *testing.T) {
	w := newWorld(t)
	w.google.Refuse(true)
	identity := strings.Replace(googleIdentity, "      tokenUrl:", `      universeDomain: cloud.example
      scopes: [openid]
      tokenUrl:`, 1)
	identity = strings.Replace(identity, "//iam.googleapis.com/", "//iam.cloud.example/", 1)
	direct := strings.Replace(strings.Replace(googleIdentity, "name: google", "name: direct", 1), "      serviceAccount: "+googleAccount+"\n", "", 1)
	w.run(w.agent(w.document(identity+direct, `
outlets:
- identities: [google, direct]
  gceMetadata:
    listen: "${OUTLETS}"
    projectId: shop-other
    numericProjectId: "42"
    zone: europe-west1-b
    instanceId: "7046071234567890123"
    instanceName: reports-0
    hostname: reports-0.shop.internal
    attributes: {cluster-name: prod, cluster-location: europe-west1}
`), agent.Options{}))

	const (
		flavor  = "Metadata-Flavor: Google"
		v1      = "/computeMetadata/v1/"
		account = `{"aliases":["default"],"email":"` + googleAccount + `","scopes":["openid"]}`
		another = "direct@cluster.global.123456789.workload.id.goog"
		want    = `{"instance":{"attributes":{"cluster-location":"europe-west1","cluster-name":"prod"},` +
			`"hostname":"reports-0.shop.internal","id":7046071234567890123,"name":"reports-0",` +
			`"serviceAccounts":{"default":` + account + `,` +
			`"` + another + `":{"aliases":[],"email":"` + another + `","scopes":["https://www.googleapis.com/auth/cloud-platform"]},` +
			`"` + googleAccount + `":` + account + `},"zone":"projects/42/zones/europe-west1-b"},` +
			`"project":{"attributes":{},"numericProjectId":42,"projectId":"shop-other"},` +
			`"universe":{"universeDomain":"cloud.example"}}`
	)
	var got answer
	eventually(t, "the outlet answers", func() (ok bool) {
		var err error
		got, err = w.try(w.urls["OUTLETS"], v1+"?recursive=true", flavor)
		return err == nil
	})
	if got.status != http.StatusOK || got.body != want {
		t.Errorf("everything = %d %s, want %s", got.status, got.body, want)
	}
	if got := w.get(w.urls["OUTLETS"], v1+"instance/service-accounts/"+another+"/identity?audience=a", flavor); got.status != http.StatusNotFound {
		t.Errorf("an ID token of the direct identity: %d %s, want 404", got.status, got.body)
	}
}
