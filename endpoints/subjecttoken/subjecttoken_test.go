package subjecttoken_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/endpoints/subjecttoken"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	secret        = "Zm9yIHRlc3RzIG9ubHk"
	authorization = "\nAuthorization: Bearer " + secret
	jwt           = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln"
	saml          = "PHNhbWxwOlJlc3BvbnNlPjwvc2FtbHA6UmVzcG9uc2U+"
	awsRequest    = "%7B%22url%22%3A%22https%3A%2F%2Fsts.amazonaws.com%22%7D"
)

func bearer(token refresher.Secret, tokenType string) endpointstest.Provider {
	return endpointstest.Yield(refresher.Credential{Value: refresher.Bearer{Token: token, Type: tokenType}, Expires: time.Unix(1<<40, 0)})
}

// outlet has one entry per case.
func outlet(field string) *endpoints.Protocol {
	return subjecttoken.New(subjecttoken.Options{
		Secret: secret,
		Field:  field,
		Entries: []subjecttoken.Entry{
			{Path: "/subject/jwt", Provider: bearer(jwt, refresher.TypeJWT)},
			{Path: "/subject/saml", Provider: bearer(saml, refresher.TypeSAML2)},
			{Path: "/subject/aws", Provider: bearer(awsRequest, refresher.TypeAWSRequest)},
			{Path: "/subject/cold", Provider: endpointstest.Fail(refresher.SubjectToken, refresher.CodeSubjectMissing)},
			{Path: "/subject/denied", Provider: endpointstest.Fail(refresher.Denied, "x")},
			{Path: "/subject/key", Provider: endpointstest.Yield(refresher.Credential{Value: refresher.AccessKey{ID: "AKIA"}})},
		},
	})
}

func TestAnswers(t *testing.T) {
	const get = "GET /subject/jwt HTTP/1.1"
	for _, test := range []struct{ golden, field, request string }{
		{"text", "", get + authorization},
		{"text_saml", "", "GET /subject/saml HTTP/1.1" + authorization},
		{"text_aws", "", "GET /subject/aws HTTP/1.1" + authorization},
		{"json", "access_token", get + authorization},
		{"json_saml", "subject_token", "GET /subject/saml HTTP/1.1" + authorization},
		{"not_ready", "", "GET /subject/cold HTTP/1.1" + authorization},
		{"denied", "", "GET /subject/denied HTTP/1.1" + authorization},
		{"not_a_token", "", "GET /subject/key HTTP/1.1" + authorization},
		{"no_secret", "", get},
		{"wrong_secret", "", get + "\nAuthorization: Bearer x"},
		{"secret_without_scheme", "", get + "\nAuthorization: " + secret},
		{"two_secrets", "", get + authorization + authorization},
		{"wrong_method", "", "POST /subject/jwt HTTP/1.1" + authorization},
		{"forwarded", "", get + authorization + "\nX-Forwarded-For:"},
		{"web_page", "", get + authorization + "\nOrigin: https://attacker.example"},
		{"other_host", "", get + authorization + "\nHost: attacker.example"},
		{"no_host", "", get + authorization + "\nHost:"},
		{"large_body", "", get + authorization + "\n\n" + strings.Repeat("x", 5<<10)},
		{"chunked_body", "", get + authorization + "\nTransfer-Encoding: chunked\n\n0\n\n"},
		{"many_fields", "", get + authorization + strings.Repeat("\nX-A: b", 100)},
	} {
		t.Run(test.golden, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that waiting takes no time
				endpointstest.Golden(t, test.golden, endpointstest.Ask(t, outlet(test.field), test.request))
			})
		})
	}
}

// The requests of the libraries, as they send them with a URL-sourced external_account file.
func TestClients(t *testing.T) {
	tests := []struct{ name, request string }{
		{"Go", "GET /subject/jwt HTTP/1.1" + authorization + "\nUser-Agent: Go-http-client/1.1\nAccept-Encoding: gzip"},
		{"Python", "GET /subject/jwt HTTP/1.1" + authorization + "\nUser-Agent: python-requests/2.32\nAccept: */*\nAccept-Encoding: gzip, deflate\nConnection: keep-alive"},
		{"Node", "GET /subject/jwt HTTP/1.1" + authorization + "\nAccept: application/json\nSec-Fetch-Mode: cors\nUser-Agent: gaxios/7.1\nAccept-Language: *"},
		{"Java", "GET /subject/jwt HTTP/1.1" + authorization + "\nUser-Agent: Google-HTTP-Java-Client/1.46 (gzip)\nAccept: text/html, image/gif, image/jpeg, */*; q=0.2\nContent-Length: 0"},
		{"a file for Azure", "GET /subject/jwt?api-version=2018-02-01&resource=https://iam.googleapis.com//iam.googleapis.com/projects/1 HTTP/1.1" + authorization + "\nMetadata: True"},
		{"HTTP/1.0", "GET /subject/jwt HTTP/1.0" + authorization},
		{"an absolute target", "GET http://127.0.0.1:9911/subject/jwt HTTP/1.1" + authorization},
		{"a query that is none", "GET /subject/jwt?%zz;&&=&a HTTP/1.1" + authorization},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := endpointstest.Ask(t, outlet(""), test.request)
			if body := endpointstest.Body(t, text); text.StatusCode != http.StatusOK || body != jwt {
				t.Errorf("text: %d %q, want the token and nothing else", text.StatusCode, body)
			}
			object := endpointstest.Ask(t, outlet("token"), test.request)
			var body map[string]string
			if err := json.Unmarshal([]byte(endpointstest.Body(t, object)), &body); err != nil || body["token"] != jwt || len(body) != 1 {
				t.Errorf("JSON: %v, %v, want the token in its field", body, err)
			}
		})
	}
}

func TestUnknownPaths(t *testing.T) {
	for _, path := range []string{"/", "/subject", "/subject/", "/subject/jwt/", "/subject/other", "/SUBJECT/jwt", "/subject//jwt", "/subject/cold/../jwt", "/subject%2fjwt"} {
		if got := endpointstest.Ask(t, outlet(""), "GET "+path+" HTTP/1.1"+authorization); got.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", path, got.StatusCode)
		}
	}
}

func TestHold(t *testing.T) {
	tests := []struct {
		name     string
		provider endpoints.Provider
		want     int
		after    time.Duration
	}{
		{"the token is at hand", bearer(jwt, refresher.TypeJWT), 200, 0},
		{"there is none for long", endpointstest.Fail(refresher.SubjectToken, refresher.CodeSubjectMissing), 503, 2 * time.Second},
		{"denied", endpointstest.Fail(refresher.Denied, "x"), 503, 0},
		{"one comes in time", endpointstest.Provider(func(ctx context.Context, target refresher.Target) (refresher.Credential, error) {
			time.Sleep(1900 * time.Millisecond)
			return bearer(jwt, refresher.TypeJWT)(ctx, target)
		}), 200, 1900 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := subjecttoken.New(subjecttoken.Options{Secret: secret, Entries: []subjecttoken.Entry{{Path: "/s", Provider: test.provider}}})
				start := time.Now()
				got := endpointstest.Ask(t, p, "GET /s HTTP/1.1"+authorization)
				if after := time.Since(start); got.StatusCode != test.want || after != test.after {
					t.Errorf("answer is %d after %v, want %d after %v", got.StatusCode, after, test.want, test.after)
				}
			})
		})
	}
}

// The token is asked for without a target, whatever the query says: it is what it is.
func TestTheQueryMeansNothing(t *testing.T) {
	p := subjecttoken.New(subjecttoken.Options{Secret: secret, Entries: []subjecttoken.Entry{{
		Path: "/s", Provider: endpointstest.Provider(func(ctx context.Context, target refresher.Target) (refresher.Credential, error) {
			if target != (refresher.Target{}) {
				t.Errorf("asked for %v, want the default", target)
			}
			return bearer(jwt, refresher.TypeJWT)(ctx, target)
		}),
	}}})
	got := endpointstest.Ask(t, p, "GET /s?resource=r&audience=a&scope=s&scopes=t HTTP/1.1"+authorization)
	if got.StatusCode != http.StatusOK {
		t.Errorf("answer is %d, want 200", got.StatusCode)
	}
}
