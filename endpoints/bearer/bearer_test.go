package bearer_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/bearer"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	secret        = "Zm9yIHRlc3RzIG9ubHk"
	authorization = "\nAuthorization: Bearer " + secret
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 6e8, time.UTC)

// lives is a provider of a token with that long to live, by a clock elsewhere.
func lives(left time.Duration) endpointstest.Provider {
	return endpointstest.Yield(refresher.Credential{
		Value:   refresher.Bearer{Token: "ya29.token", Type: refresher.TypeAccessToken},
		Expires: now.Add(left).In(time.FixedZone("", 3600)),
	})
}

// asScope puts all that a query asks for into the scope of a target; "nothing" cannot be asked for.
func asScope(q bearer.Query) (refresher.Target, bool) {
	return refresher.Target{Scope: q.Scope + "|" + q.Resource + "|" + q.Audience}, q.Scope != "nothing"
}

// outlet has one entry per case.
func outlet() *endpoints.Protocol {
	return bearer.New(bearer.Options{
		Secret: secret,
		Now:    func() time.Time { return now },
		Entries: []bearer.Entry{
			{Name: "reports", Provider: lives(time.Hour), Target: asScope},
			{Name: "cold", Provider: endpointstest.Fail(refresher.Transient, refresher.CodeNotReady), Target: asScope},
			{Name: "denied", Provider: endpointstest.Fail(refresher.Denied, "invalid_target"), Target: asScope},
			{Name: "unlisted", Provider: endpointstest.Fail(refresher.Denied, refresher.CodeTargetNotAllowed), Target: asScope},
			{Name: "many", Provider: endpointstest.Fail(refresher.Transient, refresher.CodeTooManyTargets), Target: asScope},
			{Name: "old", Provider: lives(999 * time.Millisecond), Target: asScope},
			{Name: "key", Provider: endpointstest.Yield(refresher.Credential{Value: refresher.AccessKey{ID: "AKIA"}}), Target: asScope},
		},
	})
}

func TestAnswers(t *testing.T) {
	const get = "GET /token/reports HTTP/1.1"
	for _, test := range []struct{ golden, request string }{
		{"token", get + authorization},
		{"not_ready", "GET /token/cold HTTP/1.1" + authorization},
		{"denied", "GET /token/denied HTTP/1.1" + authorization},
		{"not_allowed", "GET /token/unlisted?scope=x HTTP/1.1" + authorization},
		{"too_many_targets", "GET /token/many?scope=x HTTP/1.1" + authorization},
		{"just_expired", "GET /token/old HTTP/1.1" + authorization},
		{"not_a_token", "GET /token/key HTTP/1.1" + authorization},
		{"parameters_do_not_fit", "GET /token/reports?scope=nothing HTTP/1.1" + authorization},
		{"repeated_parameter", "GET /token/reports?scope=a&scope=b HTTP/1.1" + authorization},
		{"bad_parameter", "GET /token/reports?audience=a%0ab HTTP/1.1" + authorization},
		{"bad_query", "GET /token/reports?scope=%zz HTTP/1.1" + authorization},
		{"unknown_identity", "GET /token/other HTTP/1.1" + authorization},
		{"unknown_identity_without_secret", "GET /token/other HTTP/1.1"},
		{"no_secret", get},
		{"wrong_secret", get + "\nAuthorization: Bearer x"},
		{"two_secrets", get + authorization + authorization},
		{"wrong_method", "POST /token/reports HTTP/1.1" + authorization},
		{"forwarded", get + authorization + "\nX-Forwarded-For:"},
		{"web_page", get + authorization + "\nOrigin: https://attacker.example"},
		{"other_host", get + authorization + "\nHost: attacker.example"},
		{"no_host", get + authorization + "\nHost:"},
		{"large_body", get + authorization + "\n\n" + strings.Repeat("x", 5<<10)},
		{"chunked_body", get + authorization + "\nTransfer-Encoding: chunked\n\n0\n\n"},
		{"many_fields", get + authorization + strings.Repeat("\nX-A: b", 100)},
	} {
		t.Run(test.golden, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that waiting takes no time
				endpointstest.Golden(t, test.golden, endpointstest.Ask(t, outlet(), test.request))
			})
		})
	}
}

func TestQuery(t *testing.T) {
	const refused = "refused"
	tests := []struct {
		name, query, want string // the target's scope; empty for the default
	}{
		{"none", "", ""},
		{"a lone separator", "&", ""},
		{"parameters of others", "api-version=2018-02-01&x", ""},
		{"empty values", "scope=&resource=&audience=", ""},
		{"scopes, encoded with plus", "scope=a+b", "a b||"},
		{"scopes, encoded with %20", "scope=a%20b", "a b||"},
		{"a scope that is a URL, raw", "scope=https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/cloud-platform||"},
		{"a resource", "resource=https%3A%2F%2Fvault.azure.net", "|https://vault.azure.net|"},
		{"an audience", "audience=https://reports.example/x?y=z", "||https://reports.example/x?y=z"},
		{"an audience with a space", "audience=a%20b", "||a b"},
		{"an audience beyond ASCII", "audience=%C3%A9", "||é"},
		{"several, for the identity to judge", "scope=a&resource=b&audience=c", "a|b|c"},
		{"the name in another case", "Scope=a", ""},
		{"a name that is encoded", "%73cope=a", "a||"},
		{"the identity refuses", "scope=nothing", refused},
		{"twice", "scope=a&scope=b", refused},
		{"twice the same", "audience=a&audience=a", refused},
		{"twice, once empty", "resource=&resource=a", refused},
		{"a resource with a space, which would be two", "resource=a%20b", refused},
		{"a scope with a quote", "scope=%22", refused},
		{"a scope with a backslash", "scope=%5c", refused},
		{"a scope with a tab", "scope=a%09b", refused},
		{"a scope beyond ASCII", "scope=%C3%A9", refused},
		{"an audience with a line break", "audience=a%0d%0ab", refused},
		{"an audience with a NUL", "audience=a%00", refused},
		{"an audience that is not UTF-8", "audience=%ff", refused},
		{"bad encoding", "scope=%zz", refused},
		{"a semicolon", "scope=a;b", refused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var asked []refresher.Target
			p := bearer.New(bearer.Options{Secret: secret, Entries: []bearer.Entry{{Name: "reports", Target: asScope,
				Provider: endpointstest.Provider(func(_ context.Context, target refresher.Target) (refresher.Credential, error) {
					asked = append(asked, target)
					return refresher.Credential{Value: refresher.Bearer{Token: "t"}, Expires: time.Now().Add(time.Hour)}, nil
				})}}})
			r := endpointstest.Request(t, "GET /token/reports HTTP/1.1"+authorization)
			r.URL.RawQuery = test.query
			refusal := p.Routes["/token/reports"].Handler(newDiscard(), r)
			if test.want == refused {
				if refusal == nil || refusal.Reason != endpoints.BadRequest || asked != nil {
					t.Errorf("?%s: %v after asking for %v, want a refusal", test.query, refusal, asked)
				}
				return
			}
			if diff := cmp.Diff([]refresher.Target{{Scope: test.want}}, asked); refusal != nil || diff != "" {
				t.Errorf("?%s: %v; asked for (-want +got):\n%s", test.query, refusal, diff)
			}
		})
	}
}

func TestStates(t *testing.T) {
	tests := []struct {
		name     string
		provider endpoints.Provider
		want     int
		body     string // part of it
		after    time.Duration
	}{
		{"at hand", lives(time.Hour), 200, `"expires_in":3600,"token_type":"Bearer","expires_at":"2030-01-02T04:04:05Z"`, 0},
		{"the last second", lives(1999 * time.Millisecond), 200, `"expires_in":1,`, 0},
		{"less than a second: never 0", lives(999 * time.Millisecond), 503, "just expired", 0},
		{"expired: never negative", lives(-time.Hour), 503, "just expired", 0},
		{"none for long", endpointstest.Fail(refresher.Transient, ""), 503, "temporarily_unavailable", 2 * time.Second},
		{"a trust that is not visible yet", endpointstest.Fail(refresher.Settling, "x"), 503, "temporarily_unavailable", 2 * time.Second},
		{"denied", endpointstest.Fail(refresher.Denied, "x"), 503, "access_denied", 0},
		{"in time", endpointstest.Provider(func(ctx context.Context, target refresher.Target) (refresher.Credential, error) {
			time.Sleep(1900 * time.Millisecond)
			return lives(time.Hour)(ctx, target)
		}), 200, "ya29.token", 1900 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := bearer.New(bearer.Options{Secret: secret, Now: func() time.Time { return now }, Entries: []bearer.Entry{{Name: "x", Provider: test.provider}}})
				start := time.Now()
				got := endpointstest.Ask(t, p, "GET /token/x HTTP/1.1"+authorization)
				if after := time.Since(start); got.StatusCode != test.want || after != test.after {
					t.Errorf("answer is %d after %v, want %d after %v", got.StatusCode, after, test.want, test.after)
				}
				if body := endpointstest.Body(t, got); !strings.Contains(body, test.body) {
					t.Errorf("answer is %s, want one with %s", body, test.body)
				}
			})
		})
	}
}

func TestUnknownPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/token/":               "application/json",
		"/token/reports/":       "application/json",
		"/token/Reports":        "application/json",
		"/token//reports":       "application/json",
		"/token/x/../reports":   "application/json",
		"/token/reports%2f":     "application/json",
		"/token/reports;x":      "application/json",
		"/":                     "text/plain", // nobody's
		"/token":                "text/plain",
		"/TOKEN/reports":        "text/plain",
		"/metadata/token/other": "text/plain",
	} {
		got := endpointstest.Ask(t, outlet(), "GET "+path+" HTTP/1.1"+authorization)
		if kind := got.Header.Get("Content-Type"); got.StatusCode != http.StatusNotFound || kind != want {
			t.Errorf("GET %s = %d, %s, want 404, %s", path, got.StatusCode, kind, want)
		}
	}
}

// The forms of a request that are one and the same.
func TestRequests(t *testing.T) {
	for _, request := range []string{
		"HEAD /token/reports HTTP/1.1" + authorization,
		"GET /token/reports HTTP/1.0" + authorization,
		"GET //token/reports HTTP/1.1" + authorization,
		"GET /token/%72eports HTTP/1.1" + authorization,
		"GET http://127.0.0.1:9911/token/reports HTTP/1.1" + authorization,
		"GET /token/reports HTTP/1.1\nHost: localhost" + authorization,
		"GET /token/reports HTTP/1.1" + authorization + "\n\nsmall",
	} {
		if got := endpointstest.Ask(t, outlet(), request); got.StatusCode != http.StatusOK {
			t.Errorf("%q = %d, want 200", request, got.StatusCode)
		}
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func newDiscard() discard { return discard{http.Header{}} }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
