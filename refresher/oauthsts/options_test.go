package oauthsts_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/oauthsts"
)

type options = oauthsts.Options

// TestCheck has one case for each option in each way. What is said about the wrong ones is in
// testdata/options.golden.
func TestCheck(t *testing.T) {
	withKey := func(change func(*options)) func(*options) {
		return func(o *options) {
			o.ClientID, o.PrivateKeyFile = "wisp", "/keys/wisp.pem"
			change(o)
		}
	}
	tests := []struct {
		name   string
		change func(*options)
		field  string // "" means accepted
	}{
		{"a token URL alone", func(*options) {}, ""},
		{"a token URL with a query", func(o *options) { o.TokenURL += "?tenant=a&x" }, ""},
		{"no token URL", func(o *options) { o.TokenURL = "" }, "tokenUrl"},
		{"a token URL with a fragment", func(o *options) { o.TokenURL += "#x" }, "tokenUrl"},
		{"a token URL without TLS", func(o *options) { o.TokenURL = "http://sso.example/token" }, "tokenUrl"},
		{"a token URL with user information", func(o *options) { o.TokenURL = "https://wisp:hunter2@sso.example/token" }, "tokenUrl"},
		{"a token URL without a host", func(o *options) { o.TokenURL = "/token" }, "tokenUrl"},

		{"two audiences", func(o *options) { o.Audience = []string{"orders", "https://stock.example#x"} }, ""},
		{"an empty audience", func(o *options) { o.Audience = []string{"orders", ""} }, "audience.1"},
		{"an audience with a line break", func(o *options) { o.Audience = []string{"orders\n"} }, "audience.0"},
		{"two resources", func(o *options) { o.Resource = []string{"https://api.example/orders", "urn:stock"} }, ""},
		{"a resource that is a name", func(o *options) { o.Resource = []string{"urn:stock", "orders"} }, "resource.1"},
		{"a resource with a fragment", func(o *options) { o.Resource = []string{"https://api.example/#"} }, "resource.0"},
		{"a resource with a space", func(o *options) { o.Resource = []string{"https://api.example/a b"} }, "resource.0"},
		{"a resource that is a scheme", func(o *options) { o.Resource = []string{"https:"} }, "resource.0"},
		{"two scopes", func(o *options) { o.Scopes = []string{"read", "https://api.example/write"} }, ""},
		{"two scopes in one", func(o *options) { o.Scopes = []string{"read write"} }, "scopes.0"},
		{"an empty scope", func(o *options) { o.Scopes = []string{""} }, "scopes.0"},
		{"a subject token type of the endpoint's own", func(o *options) { o.SubjectTokenType = "urn:example:token-type:badge" }, ""},
		{"a subject token type that is a word", func(o *options) { o.SubjectTokenType = "jwt" }, "subjectTokenType"},
		{"a requested token type", func(o *options) { o.RequestedTokenType = refresher.TypeSAML2 }, ""},
		{"a requested token type that is a word", func(o *options) { o.RequestedTokenType = "access_token" }, "requestedTokenType"},

		{"a public client", func(o *options) { o.ClientID = "wisp" }, ""},
		{"a public client, said so", func(o *options) { o.ClientID, o.ClientAuth = "wisp", "none" }, ""},
		{"nobody, said so", func(o *options) { o.ClientAuth = "none" }, ""},
		{"a client id with a line break", func(o *options) { o.ClientID = "wisp\n" }, "clientId"},
		{"a secret without a client id", func(o *options) { o.ClientSecret = "hunter2" }, "clientId"},
		{"a secret", func(o *options) { o.ClientID, o.ClientSecret = "wisp", "hunter2" }, ""},
		{"a secret for post", func(o *options) { o.ClientID, o.ClientSecret, o.ClientAuth = "wisp", "hunter2", "post" }, ""},
		{"a secret file", func(o *options) { o.ClientID, o.ClientSecretFile = "wisp", "/secrets/wisp" }, ""},
		{"a relative secret file", func(o *options) { o.ClientID, o.ClientSecretFile = "wisp", "secrets/wisp" }, "clientSecretFile"},
		{"two secrets", func(o *options) {
			o.ClientID, o.ClientSecret, o.ClientSecretFile = "wisp", "hunter2", "/secrets/wisp"
		}, "clientSecretFile"},
		{"basic without a secret", func(o *options) { o.ClientID, o.ClientAuth = "wisp", "basic" }, "clientSecretFile"},
		{"post without a secret", func(o *options) { o.ClientID, o.ClientAuth = "wisp", "post" }, "clientSecretFile"},
		{"none with a secret", func(o *options) { o.ClientID, o.ClientAuth, o.ClientSecret = "wisp", "none", "hunter2" }, "clientAuth"},
		{"a method by its registered name", func(o *options) {
			o.ClientID, o.ClientAuth, o.ClientSecret = "wisp", "client_secret_basic", "hunter2"
		}, "clientAuth"},

		{"a key", withKey(func(*options) {}), ""},
		{"a key with everything", withKey(func(o *options) {
			o.ClientAuth, o.KeyID, o.SigningAlgorithm, o.AssertionAudience = "private_key_jwt", "k1", "PS256", "https://sso.example"
		}), ""},
		{"a key without a client id", withKey(func(o *options) { o.ClientID = "" }), "clientId"},
		{"a relative key", withKey(func(o *options) { o.PrivateKeyFile = "wisp.pem" }), "privateKeyFile"},
		{"private_key_jwt without a key", withKey(func(o *options) { o.ClientAuth, o.PrivateKeyFile = "private_key_jwt", "" }), "privateKeyFile"},
		{"a key and a secret", withKey(func(o *options) { o.ClientSecret = "hunter2" }), "clientAuth"},
		{"a key and a secret for private_key_jwt", withKey(func(o *options) {
			o.ClientAuth, o.ClientSecret = "private_key_jwt", "hunter2"
		}), "clientAuth"},
		{"a key for none", withKey(func(o *options) { o.ClientAuth = "none" }), "clientAuth"},
		{"a symmetric algorithm", withKey(func(o *options) { o.SigningAlgorithm = "HS256" }), "signingAlgorithm"},
		{"a key id without a key", func(o *options) { o.KeyID = "k1" }, "keyId"},
		{"an algorithm without a key", func(o *options) { o.SigningAlgorithm = "RS256" }, "signingAlgorithm"},
		{"an assertion's audience without a key", func(o *options) { o.AssertionAudience = "https://sso.example" }, "assertionAudience"},

		{"a parameter of Keycloak", func(o *options) { o.Parameters = map[string]string{"subject_issuer": "cluster"} }, ""},
		{"an empty value", func(o *options) { o.Parameters = map[string]string{"x": ""} }, ""},
		{"a parameter without a name", func(o *options) { o.Parameters = map[string]string{"": "x"} }, "parameters"},
		{"a parameter with a line break", func(o *options) { o.Parameters = map[string]string{"x": "a\r\nb"} }, "parameters"},
		{"a parameter of the protocol", func(o *options) { o.Parameters = map[string]string{"audience": "orders"} }, "parameters"},
		{"the actor token", func(o *options) { o.Parameters = map[string]string{"actor_token": "x"} }, "parameters"},

		{"an assumed lifetime", func(o *options) { o.AssumedLifetime = time.Hour }, ""},
		{"an assumed lifetime of seconds", func(o *options) { o.AssumedLifetime = 30 * time.Second }, "assumedLifetime"},
		{"a negative assumed lifetime", func(o *options) { o.AssumedLifetime = -time.Hour }, "assumedLifetime"},
		{"an assumed lifetime of days", func(o *options) { o.AssumedLifetime = 25 * time.Hour }, "assumedLifetime"},
	}
	var said strings.Builder
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := options{TokenURL: tokenURL}
			test.change(&o)
			problems := o.Check()
			var fields []string
			for _, problem := range problems {
				fields = append(fields, problem.Field)
				fmt.Fprintf(&said, "%s\n  %v\n", test.name, problem)
			}
			var want []string
			if test.field != "" {
				want = []string{test.field}
			}
			if !slices.Equal(fields, want) {
				t.Errorf("Check() = %v, want problems with %q", problems, want)
			}
		})
	}
	if strings.Contains(said.String(), "hunter2") {
		t.Error("a problem shows a secret")
	}
	checkGolden(t, "options", said.String())
}

func TestEveryParameterOfTheProtocolIsOursAlone(t *testing.T) {
	for _, name := range []string{
		"grant_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
		"requested_token_type", "audience", "resource", "scope",
		"client_id", "client_secret", "client_assertion", "client_assertion_type",
	} {
		o := options{TokenURL: tokenURL, Parameters: map[string]string{name: "x"}}
		if problems := o.Check(); len(problems) != 1 {
			t.Errorf("Check() with the parameter %s = %v, want one problem", name, problems)
		}
	}
}

func TestNewReportsAllProblemsAtOnce(t *testing.T) {
	_, err := oauthsts.New(options{TokenURL: "ftp://sso.example", Resource: []string{"x"}, ClientAuth: "basic"})
	if err == nil {
		t.Fatal("New succeeded")
	}
	for _, want := range []string{"tokenUrl", "resource.0", "clientId", "clientSecretFile"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %q, want it to name %s", err, want)
		}
	}
}

func TestNewWantsATransport(t *testing.T) {
	if _, err := oauthsts.New(options{TokenURL: tokenURL}); err == nil {
		t.Error("New without a Transport succeeded")
	}
}

func TestPrintingAnExchangerShowsNoSecret(t *testing.T) {
	x := exchanger(t, &endpoint{}, func(o *options) { o.ClientID, o.ClientSecret = "wisp", "hunter2" })
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(verb, x) + fmt.Sprintf(verb, *x); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("printed with %s it is %s", verb, text)
		}
	}
}
