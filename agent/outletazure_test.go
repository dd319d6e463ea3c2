package agent_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// An identity can be chosen by each of the ids that the document has for it, and the token is that one's.
func TestAzureIdentitiesAreChosen(t *testing.T) {
	const (
		second     = "66666666-7777-8888-9999-000000000002"
		objectID   = "0b000000-0000-4000-8000-000000000002"
		resourceID = "/subscriptions/5b000000-0000-4000-8000-000000000001/resourceGroups/prod/providers/Microsoft.ManagedIdentity/userAssignedIdentities/second"
	)
	w := newWorld(t)
	w.entra.PutApp(cloudtest.App{
		TenantID: entraTenant, ClientID: second,
		Credentials: []cloudtest.FederatedCredential{{Issuer: issuer().URL(), Subject: workload, Audience: entraAudience}},
	})
	another := strings.NewReplacer("name: azure", "name: second", entraClient, second+", objectId: "+objectID+", resourceId: "+resourceID).Replace(entraIdentity)
	w.run(w.agent(w.document(entraIdentity+another, `
outlets:
- {identities: [azure, second], azureIMDS: {listen: "${OUTLETS}"}}
- {identities: [azure, second], appService: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/azure"}}
`), agent.Options{}))
	w.started()
	for _, outlet := range []struct{ path, header string }{
		{"/metadata/identity/oauth2/token?api-version=2018-02-01", "Metadata: true"},
		{"/msi/token?api-version=2019-08-01", "X-IDENTITY-HEADER: " + w.secretFile("azure")},
	} {
		for query, want := range map[string]string{
			"":                          entraClient,
			"&client_id=" + entraClient: entraClient,
			"&client_id=" + second:      second,
			"&object_id=" + strings.ToUpper(objectID):     second,
			"&principal_id=" + objectID:                   second,
			"&mi_res_id=" + resourceID:                    second,
			"&msi_res_id=" + strings.ToUpper(resourceID):  second,
			"&client_id=" + objectID:                      "",
			"&object_id=00000000-0000-0000-0000-00000000": "",
		} {
			got := w.get(w.urls["OUTLETS"], outlet.path+"&resource=https://vault.azure.net"+query, outlet.header)
			if want == "" {
				if got.status != http.StatusBadRequest || !strings.Contains(got.body, "Identity not found") {
					t.Errorf("GET %s%s = %d %s, want that there is none", outlet.path, query, got.status, got.body)
				}
				continue
			}
			var token struct {
				AccessToken string `json:"access_token"`
				ClientID    string `json:"client_id"`
			}
			if err := json.Unmarshal([]byte(got.body), &token); err != nil || got.status != http.StatusOK {
				t.Fatalf("GET %s%s = %d, %v", outlet.path, query, got.status, err)
			}
			w.secret(token.AccessToken)
			if valid, err := w.entra.Validate(token.AccessToken); err != nil || valid.ClientID != want || token.ClientID != want {
				t.Errorf("GET %s%s: a token of %s called that of %s, %v, want %s", outlet.path, query, valid.ClientID, token.ClientID, err, want)
			}
		}
	}
}

// The form of Azure Cloud Shell, which has no secret, is there for who asks for it.
func TestCloudShell(t *testing.T) {
	const request = "POST /msi/token HTTP/1.1\r\nHost: {host}\r\n{Metadata}Connection: close\r\nContent-Length: 33\r\n\r\nresource=https://vault.azure.net/"
	for option, want := range map[string][2]int{"": {405, 401}, ", cloudShell: false": {405, 401}, ", cloudShell: true": {400, 200}} {
		w := newWorld(t)
		w.run(w.agent(w.document(entraIdentity, `
outlets: [{identity: azure, appService: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/azure"`+option+`}}]
`), agent.Options{}))
		w.started()
		for n, metadata := range []string{"", "Metadata: true\r\n"} {
			got := w.say(strings.NewReplacer("{host}", w.urls["OUTLETS"], "{Metadata}", metadata).Replace(request))
			if status(got) != want[n] || strings.Contains(got, "access_token") != (want[n] == 200) {
				t.Errorf("with %q and %q: status %d, want %d", option, metadata, status(got), want[n])
			}
		}
	}
}
