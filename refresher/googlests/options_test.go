package googlests_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(*googlests.Options)
		field  string // "" means accepted
	}{
		{"only an audience", func(o *googlests.Options) {}, ""},
		{"everything", func(o *googlests.Options) {
			*o = googlests.Options{
				Audience: audience, SubjectTokenType: refresher.TypeSAML2,
				TokenURL:       "https://sts.europe-west1.rep.googleapis.com/v1/token",
				ServiceAccount: account, ImpersonationURL: "https://iamcredentials.googleapis.com/",
				Lifetime: time.Hour, Delegates: []string{account}, Scopes: []string{"openid"},
				QuotaProject: "example.com:acme", UniverseDomain: "googleapis.com",
			}
		}, ""},
		{"workforce audience", func(o *googlests.Options) {
			o.Audience = workforce
		}, ""},
		{"hosts of another universe", func(o *googlests.Options) {
			o.UniverseDomain, o.TokenURL = "cloud.example", "https://sts.cloud.example/v1/token"
			o.Audience = strings.Replace(audience, "googleapis.com", "cloud.example", 1)
		}, ""},

		{"audience of a fleet", func(o *googlests.Options) {
			o.Audience = "identitynamespace:acme.svc.id.goog:https://container.googleapis.com/v1/projects/acme/locations/europe-west1/clusters/a"
		}, ""},
		{"audience of a fleet without a cluster", func(o *googlests.Options) { o.Audience = "identitynamespace:acme.svc.id.goog" }, "audience"},
		{"audience of something like a fleet", func(o *googlests.Options) { o.Audience = "identitynamespace:acme.example:https://a.example" }, "audience"},
		{"no audience", func(o *googlests.Options) { o.Audience = "" }, "audience"},
		{"audience with https", func(o *googlests.Options) { o.Audience = "https:" + audience }, "audience"},
		{"audience with a project id", func(o *googlests.Options) { o.Audience = strings.Replace(audience, "123456789", "acme-1", 1) }, "audience"},
		{"audience of a pool", func(o *googlests.Options) { o.Audience, _, _ = strings.Cut(audience, "/providers") }, "audience"},
		{"audience with a newline", func(o *googlests.Options) { o.Audience += "\n" }, "audience"},
		{"audience of a universe not configured", func(o *googlests.Options) {
			o.Audience = strings.Replace(audience, "googleapis.com", "cloud.example", 1)
		}, "audience"},
		{"unknown token type", func(o *googlests.Options) { o.SubjectTokenType = "jwt" }, "subjectTokenType"},
		{"certificate token type", func(o *googlests.Options) { o.SubjectTokenType = "urn:ietf:params:oauth:token-type:mtls" }, "subjectTokenType"},
		{"universe that is no name", func(o *googlests.Options) { o.UniverseDomain = "com/" }, "universeDomain"},

		{"token URL without TLS", func(o *googlests.Options) { o.TokenURL = "http://sts.googleapis.com/v1/token" }, "tokenUrl"},
		{"token URL of somebody else", func(o *googlests.Options) { o.TokenURL = "https://evil.example/v1/token" }, "tokenUrl"},
		{"token URL that begins like Google's", func(o *googlests.Options) { o.TokenURL = "https://sts.googleapis.com.evil.example/v1/token" }, "tokenUrl"},
		{"token URL that ends like Google's", func(o *googlests.Options) { o.TokenURL = "https://evilgoogleapis.com/v1/token" }, "tokenUrl"},
		{"token URL with user information", func(o *googlests.Options) { o.TokenURL = "https://x@evil.example" }, "tokenUrl"},
		{"token URL with Google as user information", func(o *googlests.Options) { o.TokenURL = "https://sts.googleapis.com@evil.example/" }, "tokenUrl"},
		{"token URL that is a file", func(o *googlests.Options) { o.TokenURL = "file:///etc/passwd" }, "tokenUrl"},
		{"token URL with a query", func(o *googlests.Options) { o.TokenURL = "https://sts.googleapis.com/v1/token?x" }, "tokenUrl"},
		{"token URL on loopback, not allowed", func(o *googlests.Options) { o.TokenURL = "http://127.0.0.1:8080/v1/token" }, "tokenUrl"},
		{"token URL on loopback with TLS", func(o *googlests.Options) { o.TokenURL = "https://127.0.0.1:8080/v1/token" }, "tokenUrl"},
		{"impersonation URL without TLS", func(o *googlests.Options) { o.ImpersonationURL = "http://iamcredentials.googleapis.com" }, "impersonationUrl"},
		{"impersonation URL of somebody else", func(o *googlests.Options) { o.ImpersonationURL = "https://iamcredentials.googleapis.com.evil.example" }, "impersonationUrl"},
		{"impersonation URL with user information", func(o *googlests.Options) { o.ImpersonationURL = "https://x@evil" }, "impersonationUrl"},
		{"impersonation URL that is a file", func(o *googlests.Options) { o.ImpersonationURL = "file:" }, "impersonationUrl"},

		{"OAuth client", func(o *googlests.Options) { o.ClientID, o.ClientSecret = "1-a.apps.googleusercontent.com", "s cret" }, ""},
		{"client without a secret", func(o *googlests.Options) { o.ClientID = "app" }, "clientSecret"},
		{"secret without a client", func(o *googlests.Options) { o.ClientSecret = "secret" }, "clientId"},
		{"client with a colon, which would be read as a secret", func(o *googlests.Options) { o.ClientID, o.ClientSecret = "a:b", "secret" }, "clientId"},
		{"client that splits a header", func(o *googlests.Options) { o.ClientID, o.ClientSecret = "a\r\nb", "secret" }, "clientId"},
		{"secret with the newline of its file", func(o *googlests.Options) { o.ClientID, o.ClientSecret = "app", "secret\n" }, "clientSecret"},

		{"user project of a workforce", func(o *googlests.Options) { o.Audience, o.UserProject = workforce, "987654321" }, ""},
		{"user project of 32 characters", func(o *googlests.Options) { o.Audience, o.UserProject = workforce, strings.Repeat("a", 32) }, ""},
		{"user project of 33 characters", func(o *googlests.Options) { o.Audience, o.UserProject = workforce, strings.Repeat("a", 33) }, "userProject"},
		{"user project that is none", func(o *googlests.Options) { o.Audience, o.UserProject = workforce, `a","b":"` }, "userProject"},
		{"user project of a workload", func(o *googlests.Options) { o.UserProject = "987654321" }, "userProject"},

		{"numeric account", func(o *googlests.Options) { o.ServiceAccount = "123456789012345678901" }, ""},
		{"default account of Compute Engine", func(o *googlests.Options) { o.ServiceAccount = "123456789012-compute@developer.gserviceaccount.com" }, ""},
		{"default account of App Engine", func(o *googlests.Options) { o.ServiceAccount = "acme-prod@appspot.gserviceaccount.com" }, ""},
		{"account that leaves its path", func(o *googlests.Options) { o.ServiceAccount = "a@b/../../x:signBlob?" }, "serviceAccount"},
		{"account that calls another method", func(o *googlests.Options) { o.ServiceAccount = account + ":signBlob" }, "serviceAccount"},
		{"account that is a person", func(o *googlests.Options) { o.ServiceAccount = "me@example.com" }, "serviceAccount"},
		{"account with a newline", func(o *googlests.Options) { o.ServiceAccount = account + "\n" }, "serviceAccount"},
		{"delegate that is none", func(o *googlests.Options) {
			o.ServiceAccount, o.Delegates = account, []string{account, "x/y"}
		}, "delegates.1"},
		{"delegates without an account", func(o *googlests.Options) { o.Delegates = []string{account} }, "delegates"},

		{"longest lifetime", func(o *googlests.Options) { o.ServiceAccount, o.Lifetime = account, 43200*time.Second }, ""},
		{"lifetime too short", func(o *googlests.Options) { o.ServiceAccount, o.Lifetime = account, 599*time.Second }, "lifetime"},
		{"lifetime too long", func(o *googlests.Options) { o.ServiceAccount, o.Lifetime = account, 43201*time.Second }, "lifetime"},
		{"lifetime negative", func(o *googlests.Options) { o.ServiceAccount, o.Lifetime = account, -time.Hour }, "lifetime"},
		{"lifetime of a fraction", func(o *googlests.Options) { o.ServiceAccount, o.Lifetime = account, 900*time.Second+1 }, "lifetime"},
		{"lifetime without an account", func(o *googlests.Options) { o.Lifetime = time.Hour }, "lifetime"},
		{"two scopes in one", func(o *googlests.Options) { o.Scopes = []string{"openid", "email profile"} }, "scopes.1"},
		{"empty scope", func(o *googlests.Options) { o.Scopes = []string{""} }, "scopes.0"},
		{"quota project that splits a header", func(o *googlests.Options) { o.QuotaProject = "a\r\nb" }, "quotaProject"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := googlests.Options{Audience: audience}
			test.change(&o)
			var fields []string
			problems := o.Check()
			for _, problem := range problems {
				fields = append(fields, problem.Field)
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
}

func TestLoopbackIsForTransportsThatAllowIt(t *testing.T) {
	allowing, err := upstream.New(upstream.Options{AllowInsecureLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	o := googlests.Options{Audience: audience, TokenURL: "http://127.0.0.1:8080/v1/token", Transport: allowing}
	if problems := o.Check(); problems != nil {
		t.Errorf("Check() = %v, want none", problems)
	}
	o.TokenURL = "http://192.0.2.1:8080/v1/token"
	if problems := o.Check(); len(problems) != 1 {
		t.Errorf("Check() = %v, want http to be refused for other hosts", problems)
	}
}

func TestProblemsDoNotShowTheClientSecret(t *testing.T) {
	o := googlests.Options{Audience: audience, ClientID: "app", ClientSecret: "hush-hush\n"}
	if _, err := googlests.New(o); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("New = %v, want an error that does not show the secret", err)
	}
}

func TestNewReportsAllProblemsAtOnce(t *testing.T) {
	_, err := googlests.New(googlests.Options{TokenURL: "file:", Lifetime: 1})
	if err == nil {
		t.Fatal("New succeeded")
	}
	for _, want := range []string{"audience", "tokenUrl", "lifetime"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %q, want it to name %s", err, want)
		}
	}
}
