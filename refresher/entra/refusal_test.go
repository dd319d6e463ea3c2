package entra_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/entra"
)

// A refused exchange is right but for one thing.
type refused struct {
	name    string
	token   cloudtest.TokenOptions
	raw     refresher.Secret // instead of one that is minted
	options func(*entra.Options)
	target  refresher.Target
	cloud   func(*world)
}

// says makes Entra refuse in a way that the fake does not know by itself.
func says(status int, oauth string, number int, text string) func(*world) {
	return func(w *world) {
		w.entra.Inject(cloudtest.Fault{
			Status: status, Body: refusal(oauth, number, text),
			Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		})
	}
}

func refusals() []refused {
	type token = cloudtest.TokenOptions
	return []refused{
		{name: "issuer with a slash at the end", cloud: func(w *world) {
			w.entra.PutApp(w.app("https://oidc.example.test/"))
		}},
		{name: "no federated credential", cloud: func(w *world) {
			w.entra.PutApp(cloudtest.App{TenantID: tenant, ClientID: client})
		}},
		{name: "subject that no credential has", token: token{ServiceAccount: "other"}},
		{name: "subject in another case", token: token{ServiceAccount: "Runner"}},
		{name: "audience of another cloud", token: token{Audience: []string{"sts.amazonaws.com"}}},
		{name: "generic number", cloud: says(400, "invalid_request", 70021, "No matching federated identity record found for presented assertion.")},
		{name: "token that expired", token: token{Issued: time.Now().Add(-2 * time.Hour)}},
		{name: "token from the future", token: token{Issued: time.Now().Add(time.Hour)}},
		{name: "token with an unknown key", token: token{KeyID: "k9"}},
		{name: "token with a bad signature", token: token{WrongKey: true}},
		{name: "token signed with RS384", token: token{Algorithm: "RS384"}},
		{name: "token without exp", token: token{Claims: map[string]any{"exp": nil}}},
		{name: "token that is no JWT", raw: "opaque"},
		{name: "token of Entra itself", cloud: says(400, "invalid_request", 700222, "AAD-issued tokens may not be used for federated identity flows.")},
		{name: "assertion, expired", cloud: says(400, "invalid_grant", 500133, "Assertion is not within its valid time range.")},
		{name: "assertion, not authentic", cloud: says(400, "invalid_grant", 50012, "Authentication failed.")},
		{name: "issuer that does not answer", cloud: func(w *world) { w.issuer.Refuse(true) }},
		{name: "application that does not exist", options: func(o *entra.Options) { o.ClientID = otherTenant }},
		{name: "tenant that does not exist", options: func(o *entra.Options) { o.TenantID = otherTenant }},
		{name: "resource that does not exist", target: refresher.Target{Scope: "https://unknown.example/.default"}},
		{name: "scope without /.default", target: refresher.Target{Scope: "https://vault.azure.net"}},
		{name: "two scopes", target: refresher.Target{Scope: "https://vault.azure.net/.default openid"}},
		{name: "resource that is none", cloud: says(400, "invalid_resource", 50001, "The resource principal named x was not found.")},
		{name: "secret that was expected", cloud: says(401, "invalid_client", 7000215, "Invalid client secret provided.")},
		{name: "application that is disabled", cloud: says(401, "unauthorized_client", 7000112, "Application is disabled.")},
		{name: "conditional access", cloud: says(400, "invalid_grant", 53003, "Access has been blocked by Conditional Access policies.")},
		{name: "trouble that passes", cloud: says(400, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again.")},
		{name: "loop", cloud: says(400, "invalid_grant", 50196, "The server terminated an operation because it encountered a client request loop.")},
		{name: "too many requests", cloud: func(w *world) { w.entra.Inject(cloudtest.Fault{Throttle: true, RetryAfter: time.Minute}) }},
		{name: "outage", cloud: func(w *world) { w.entra.Inject(cloudtest.Fault{Status: 503}) }},
		{name: "answer that breaks off", cloud: func(w *world) { w.entra.Inject(cloudtest.Fault{Malformed: true}) }},
		{name: "proxy in place of Entra", cloud: func(w *world) { w.entra.Inject(cloudtest.Fault{Status: 403, Body: "<html>"}) }},
		{name: "connection refused", cloud: func(w *world) { w.entra.Refuse(true) }},
		{name: "another tenant than expected", options: func(o *entra.Options) { o.ExpectedTenantID = otherTenant }},
		{name: "ID token", target: refresher.Target{Audience: "https://app.example"}},
	}
}

// TestRefusals shows what a reader gets to see of every wrong input.
func TestRefusals(t *testing.T) {
	issuer := newIssuer()
	var texts bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		for _, test := range refusals() {
			issuer.Clear()
			w := newWorld(t, issuer)
			raw := test.raw
			if raw == "" {
				raw = w.mint(test.token)
			}
			if test.cloud != nil {
				test.cloud(w)
			}
			_, err := w.exchanger(test.options).Exchange(t.Context(), refresher.Token{Raw: raw, Type: refresher.TypeJWT}, test.target)
			if err == nil {
				t.Errorf("%s: Exchange succeeded", test.name)
				continue
			}
			e := refresher.AsError(err)
			fmt.Fprintf(&texts, "%s\n\t%s\n\t%s\n", test.name, e.Class, e)
			if e.Hint != "" {
				fmt.Fprintf(&texts, "\thint: %s\n", e.Hint)
			}
			for part := range strings.SplitSeq(raw.Reveal(), ".") {
				if strings.Contains(e.Error()+e.Hint, part) {
					t.Errorf("%s: the error shows a part of the token", test.name)
				}
			}
		}
	})
	checkGolden(t, "refusals", texts.Bytes())
}
