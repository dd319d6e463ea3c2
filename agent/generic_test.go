package agent_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2/google/externalaccount"

	"github.com/wisp-sidecar/wisp/agent"
)

const (
	subjectIdentity = `
- name: itself
  source: {file: {path: "${DIR}/tokens/google"}}
  exchange: {subject: {}}
`
	genericOutlets = `
outlets:
- identities: [google, azure]
  bearer: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/bearer"}
- identity: itself
  subjectToken: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/subject"}
- identity: itself
  subjectToken: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/subject", path: /imds, format: json}
`
)

// A client library gets the subject token here, and exchanges it by itself.
func TestSubjectToken(t *testing.T) {
	w := newWorld(t)
	w.run(w.agent(w.document(subjectIdentity+googleIdentity+entraIdentity, genericOutlets), agent.Options{}))
	w.started()
	secret := w.secretFile("subject")
	token, err := os.ReadFile(filepath.Join(w.dir, "tokens", "google"))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.get(w.urls["OUTLETS"], "/subject/itself", "Authorization: Bearer "+secret); got.status != http.StatusOK || got.body != string(token) {
		t.Errorf("the subject token: %d, %d bytes that are the file's: %v", got.status, len(got.body), got.body == string(token))
	}
	if got := w.get(w.urls["OUTLETS"], "/subject/itself"); got.status != http.StatusUnauthorized {
		t.Errorf("without the secret: %d %s", got.status, got.body)
	}

	for name, source := range map[string]externalaccount.CredentialSource{
		"text": {URL: "http://" + w.urls["OUTLETS"] + "/subject/itself", Headers: map[string]string{"Authorization": "Bearer " + secret}},
		"as a file for Azure": {
			URL:     "http://" + w.urls["OUTLETS"] + "/imds?api-version=2018-02-01&resource=https://iam.googleapis.com/" + googleProvider,
			Headers: map[string]string{"Authorization": "Bearer " + secret, "Metadata": "True"},
			Format:  externalaccount.Format{Type: "json", SubjectTokenFieldName: "access_token"},
		},
	} {
		tokens, err := externalaccount.NewTokenSource(context.Background(), externalaccount.Config{
			Audience: "//iam.googleapis.com/" + googleProvider, SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
			TokenURL: w.urls["GOOGLE"] + "/v1/token", Scopes: []string{platform}, CredentialSource: &source,
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := tokens.Token()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.secret(got.AccessToken)
		if principal, valid := w.google.Principal(got.AccessToken); !valid || !strings.HasSuffix(principal, "/subject/"+workload) {
			t.Errorf("%s: the library's token is that of %q, %v", name, principal, valid)
		}
	}
}

// A bearerAnswer is what the outlet bearer says.
type bearerAnswer struct {
	AccessToken string    `json:"access_token"`
	ExpiresIn   int       `json:"expires_in"`
	TokenType   string    `json:"token_type"`
	ExpiresAt   time.Time `json:"expires_at"`
}

func TestBearer(t *testing.T) {
	w := newWorld(t)
	w.run(w.agent(w.document(subjectIdentity+googleIdentity+entraIdentity, genericOutlets), agent.Options{}))
	w.started()
	secret := w.secretFile("bearer")
	ask := func(pathAndQuery string) bearerAnswer {
		t.Helper()
		got := w.get(w.urls["OUTLETS"], "/token/"+pathAndQuery, "Authorization: Bearer "+secret)
		var answer bearerAnswer
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != http.StatusOK {
			t.Fatalf("%s: %d %s: %v", pathAndQuery, got.status, got.body, err)
		}
		w.secret(answer.AccessToken)
		left := time.Until(answer.ExpiresAt)
		if in := time.Duration(answer.ExpiresIn) * time.Second; in <= 0 || (left-in).Abs() > time.Minute || answer.TokenType != "Bearer" {
			t.Errorf("%s: expires in %v, at %v, type %s", pathAndQuery, in, answer.ExpiresAt, answer.TokenType)
		}
		return answer
	}
	if principal, valid := w.google.Principal(ask("google").AccessToken); !valid || principal != "serviceAccount:"+googleAccount {
		t.Errorf("google: the token is that of %q, %v", principal, valid)
	}
	if scopes := w.google.Scopes(ask("google?scope=" + readOnly + "+" + bigquery).AccessToken); len(scopes) != 2 {
		t.Errorf("google: the scopes are %v, want the two asked for", scopes)
	}
	if dots := strings.Count(ask("google?audience="+reports).AccessToken, "."); dots != 2 {
		t.Errorf("google: the ID token has %d dots", dots)
	}
	for path, resource := range map[string]string{"azure": manage + "/", "azure?resource=" + vault: vault} {
		if valid, err := w.entra.Validate(ask(path).AccessToken); err != nil || valid.Audience != resource {
			t.Errorf("%s: the token is %+v, %v, want one for %s", path, valid, err, resource)
		}
	}
	for path, want := range map[string]int{
		"google?resource=" + vault:                 400,
		"google?scope=" + readOnly + "&audience=a": 400,
		"azure?scope=" + vault:                     400,
		"azure?audience=" + vault:                  400,
		"azure?resource=" + vault + "%20" + manage: 400,
		"itself": 404,
		"google?scope=" + readOnly + "&scope=" + readOnly: 400,
	} {
		if got := w.get(w.urls["OUTLETS"], "/token/"+path, "Authorization: Bearer "+secret); got.status != want {
			t.Errorf("%s: %d %s, want %d", path, got.status, got.body, want)
		}
	}
	for _, sent := range []string{"X-None: x", "Authorization: " + secret, "Authorization: Bearer " + w.secretFile("subject")} {
		if got := w.get(w.urls["OUTLETS"], "/token/google", sent); got.status != http.StatusUnauthorized && got.status != http.StatusForbidden {
			t.Errorf("with %.14s…: %d", sent, got.status)
		}
	}
}
