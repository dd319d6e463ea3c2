package conformance_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Who the playground's workload is to each cloud.
const (
	awsARN        = "arn:aws:sts::111122223333:assumed-role/reports/shop-reports-reports-6c9f7"
	googleAccount = "reports@wisp-playground.iam.gserviceaccount.com"
	googleNumber  = "123456789012"
	googleProject = "wisp-playground"
	cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"
	entraClient   = "c0ffee00-8d2b-4f0e-b4c6-2f9d1e7a5b22"
	entraTenant   = "72f1a6c0-5b1e-4c55-9d9e-0a6d5f3b7c11"
	vault         = "https://vault.azure.net"
	arm           = "https://management.azure.com/"
)

// googleKnows asks the fake Google whether it issued an access token to the service account (RFC 7662).
func googleKnows(t *testing.T, token string) {
	t.Helper()
	answer, err := http.PostForm(play.google+"/v1/introspect", url.Values{"token": {strings.TrimSpace(token)}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var said struct {
		Active   bool   `json:"active"`
		Username string `json:"username"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	if want := "serviceAccount:" + googleAccount; !said.Active || said.Username != want {
		t.Errorf("Google says of the token: active %v, %q; want %q", said.Active, said.Username, want)
	}
}

// entraKnows verifies an access token with the keys of the fake Entra, as the resource does.
func entraKnows(t *testing.T, token, resource string) {
	t.Helper()
	var said struct {
		jwt.Claims
		App string `json:"appid"`
	}
	verify(t, play.entra+"/"+entraTenant+"/discovery/v2.0/keys", token, &said)
	if err := said.Validate(jwt.Expected{AnyAudience: jwt.Audience{resource}, Time: time.Now()}); err != nil || said.App != entraClient {
		t.Errorf("Entra's token is for client %s at %v (%v), want %s at %s", said.App, said.Audience, err, entraClient, resource)
	}
}

// googleVouches verifies an ID token with the keys of the fake Google, as the service does that it is for.
func googleVouches(t *testing.T, token, audience string) {
	t.Helper()
	var said struct {
		jwt.Claims
		Email string `json:"email"`
	}
	verify(t, play.google+"/oauth2/v3/certs", token, &said)
	want := jwt.Expected{Issuer: "https://accounts.google.com", AnyAudience: jwt.Audience{audience}, Time: time.Now()}
	if err := said.Validate(want); err != nil || said.Email != googleAccount {
		t.Errorf("Google's ID token is for %s at %v (%v), want %s at %s", said.Email, said.Audience, err, googleAccount, audience)
	}
}

// verify reads the claims of a JWT that is signed with one of the keys at an address.
func verify(t *testing.T, keys, token string, claims any) {
	t.Helper()
	answer, err := http.Get(keys)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.ParseSigned(strings.TrimSpace(token), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal("not a signed JWT") // the error may quote the token
	}
	if err := signed.Claims(set, claims); err != nil {
		t.Fatalf("the token's signature: %v", err)
	}
}
