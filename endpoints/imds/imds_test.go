package imds_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/endpoints/imds"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	role     = "reports"
	roles    = "/latest/meta-data/iam/security-credentials/"
	document = "/latest/dynamic/instance-identity/document"
	secret   = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var credential = refresher.Credential{
	Value: refresher.AccessKey{
		ID:           "ASIAIOSFODNN7EXAMPLE",
		Secret:       secret,
		SessionToken: "IQoJb3JpZ2luX2VjEXAMPLE//token==",
		AccountID:    "123456789012",
	},
	// Elsewhere, and with a fraction: the answer is in UTC and whole seconds.
	Issued:  time.Date(2030, 1, 2, 3, 4, 5, 999, time.FixedZone("", 3600)),
	Expires: time.Date(2030, 1, 2, 4, 4, 5, 999, time.FixedZone("", 3600)),
}

// full knows everything that can be known.
func full(p endpointstest.Provider) imds.Options {
	return imds.Options{
		Provider: p, Role: role,
		Region: "eu-west-1", AvailabilityZone: "eu-west-1a", InstanceID: "i-0123456789abcdef0", AccountID: "123456789012",
		InstanceProfileARN: "arn:aws:iam::123456789012:instance-profile/reports",
	}
}

// bare knows a role, and no more.
func bare(p endpointstest.Provider) imds.Options { return imds.Options{Provider: p, Role: role} }

func v1(o imds.Options) imds.Options {
	o.AllowV1 = true
	return o
}

// An outlet is a server, gate included, and a session with it.
type outlet struct {
	testing.TB
	http.Handler
	token string
}

func newOutlet(t testing.TB, o imds.Options) *outlet {
	t.Helper()
	x := &outlet{TB: t, Handler: endpointstest.Serve(t, imds.New(o))}
	x.token = endpointstest.Body(t, x.ask("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 21600"))
	return x
}

// ask sends a request, in which TOKEN stands for the session's token.
func (x *outlet) ask(raw string) *http.Response {
	x.Helper()
	w := httptest.NewRecorder()
	x.ServeHTTP(w, endpointstest.Request(x, strings.ReplaceAll(raw, "TOKEN", x.token)))
	return w.Result()
}

// get asks for a path with the session's token.
func (x *outlet) get(path string) *http.Response {
	x.Helper()
	return x.ask("GET " + path + " HTTP/1.1\nX-aws-ec2-metadata-token: TOKEN")
}

// Every answer that there is, success or not.
func TestAnswers(t *testing.T) {
	const (
		with = " HTTP/1.1\nX-aws-ec2-metadata-token: TOKEN\n"
		put  = "PUT /latest/api/token HTTP/1.1\n"
		ttl  = "X-aws-ec2-metadata-token-ttl-seconds: 300\n"
	)
	tests := []struct {
		golden  string
		options imds.Options
		request string
	}{
		{"token", full(nil), put + ttl},
		{"token_without_ttl", full(nil), put},
		{"token_forwarded", full(nil), put + ttl + "X-Forwarded-For: 10.0.0.1"},
		{"token_wrong_method", full(nil), "GET /latest/api/token" + with},
		{"token_two_ttls", full(nil), put + ttl + ttl},
		{"roles", full(endpointstest.Fail(refresher.Transient, "AccessDenied")), "GET " + roles + with},
		{"credentials", full(endpointstest.YieldDefault(credential)), "GET " + roles + role + with},
		{"credentials_without_account", full(endpointstest.YieldDefault(withoutAccount(credential))), "GET " + roles + role + with},
		{"credentials_not_ready", full(endpointstest.Fail(refresher.Transient, "AccessDenied")), "GET " + roles + role + with},
		{"credentials_denied", full(endpointstest.Fail(refresher.Denied, "AccessDenied")), "GET " + roles + role + with},
		{"credentials_not_an_access_key", full(endpointstest.YieldDefault(refresher.Credential{Value: refresher.Bearer{Token: "ya29.token"}})), "GET " + roles + role + with},
		{"iam_info", full(nil), "GET /latest/meta-data/iam/info" + with},
		{"region", full(nil), "GET /latest/meta-data/placement/region" + with},
		{"availability_zone", full(nil), "GET /latest/meta-data/placement/availability-zone/" + with},
		{"instance_id", full(nil), "GET /latest/meta-data/instance-id" + with},
		{"document", full(nil), "GET " + document + with},
		{"document_region_only", imds.Options{Role: role, Region: "eu-west-1"}, "GET " + document + with},
		{"listing_latest", full(nil), "GET /latest/" + with},
		{"listing_meta_data", full(nil), "GET /latest/meta-data/" + with},
		{"listing_meta_data_bare", bare(nil), "GET /latest/meta-data/" + with},
		{"listing_iam", full(nil), "GET /latest/meta-data/iam/" + with},
		{"listing_iam_bare", bare(nil), "GET /latest/meta-data/iam/" + with},
		{"listing_placement", full(nil), "GET /latest/meta-data/placement/" + with},
		{"listing_dynamic", full(nil), "GET /latest/dynamic/" + with},
		{"listing_instance_identity", full(nil), "GET /latest/dynamic/instance-identity/" + with},
		{"no_token", full(nil), "GET " + roles + " HTTP/1.1"},
		{"wrong_token", full(nil), "GET " + roles + " HTTP/1.1\nX-aws-ec2-metadata-token: x"},
		{"two_tokens", full(nil), "GET " + roles + with + "X-aws-ec2-metadata-token: TOKEN"},
		{"not_found", full(nil), "GET /latest/user-data" + with},
		{"wrong_method", full(nil), "POST " + roles + with},
		{"wrong_host", full(nil), "GET " + roles + with + "Host: attacker.example"},
		{"no_host", full(nil), "GET " + roles + " HTTP/1.0\nHost:"},
		{"forwarded", full(nil), "GET " + roles + with + "Via: 1.1 proxy"},
		{"browser", full(nil), "GET " + roles + with + "Origin: null"},
		{"too_many_fields", full(nil), "GET " + roles + with + strings.Repeat("X: x\n", 100)},
		{"large_body", full(nil), put + ttl + "\n" + strings.Repeat("x", 5<<10)},
		{"chunked_body", full(nil), "GET " + roles + with + "Transfer-Encoding: chunked\n\n1\r\nx\r\n0\r\n\r\n"},
		{"short_body", full(nil), put + ttl + "Transfer-Encoding: chunked\n\n5\r\nx"},
		{"panic", full(nil), "GET " + roles + role + with},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			// In a bubble, so that waiting takes no time, and it is always the same hour.
			synctest.Test(t, func(t *testing.T) {
				answer := newOutlet(t, test.options).ask(test.request)
				if test.golden == "token" {
					token := endpointstest.Body(t, answer)
					answer.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", len(token))))
				}
				endpointstest.Golden(t, test.golden, answer)
			})
		})
	}
}

func withoutAccount(c refresher.Credential) refresher.Credential {
	key := c.Value.(refresher.AccessKey)
	key.AccountID = ""
	c.Value = key
	return c
}

// The SDK for Go gives up 500 ms after it has asked. What needs no credential is there at once,
// whatever becomes of the credential.
func TestHold(t *testing.T) {
	comes := func(after time.Duration) endpointstest.Provider {
		return func(ctx context.Context, _ refresher.Target) (refresher.Credential, error) {
			select {
			case <-time.After(after):
				return credential, nil
			case <-ctx.Done():
				return refresher.Credential{}, &refresher.Error{Class: refresher.Transient, Err: ctx.Err()}
			}
		}
	}
	tests := []struct {
		name     string
		provider endpointstest.Provider
		want     int
		after    time.Duration
	}{
		{"a credential is at hand", endpointstest.YieldDefault(credential), 200, 0},
		{"there is none for long", endpointstest.Fail(refresher.Transient, "AccessDenied"), 503, 400 * time.Millisecond},
		{"the cloud throttles", endpointstest.Fail(refresher.Throttled, "AccessDenied"), 503, 400 * time.Millisecond},
		{"the cloud refuses", endpointstest.Fail(refresher.Denied, "AccessDenied"), 503, 0},
		{"one comes in time", comes(300 * time.Millisecond), 200, 300 * time.Millisecond},
		{"one comes too late", comes(500 * time.Millisecond), 503, 400 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				x := newOutlet(t, full(test.provider))
				for _, path := range []string{"/latest/", roles, "/latest/meta-data/placement/region", document, "/latest/meta-data/iam/info"} {
					if answer := x.get(path); answer.StatusCode != http.StatusOK {
						t.Errorf("GET %s = %d, want 200", path, answer.StatusCode)
					}
				}
				if held := time.Since(start); held != 0 {
					t.Errorf("what is always known came after %v", held)
				}
				answer := x.get(roles + role)
				if held := time.Since(start); answer.StatusCode != test.want || held != test.after {
					t.Errorf("answer is %d after %v, want %d after %v", answer.StatusCode, held, test.want, test.after)
				}
				text := endpointstest.Body(t, answer)
				if ok := answer.StatusCode == http.StatusOK; ok != strings.Contains(text, secret) || !ok && strings.Contains(text, `"Code"`) {
					t.Errorf("the answer with status %d is %q", answer.StatusCode, text)
				}
				if again := answer.Header.Get("Retry-After"); (again == "1") != (test.want == 503) {
					t.Errorf("Retry-After = %q with status %d", again, answer.StatusCode)
				}
			})
		})
	}
}

// The SDK for Go v2 would read JSON in an error, and insist on its form.
func TestErrorBodies(t *testing.T) {
	p := imds.New(bare(nil))
	for reason := endpoints.BadRequest; reason <= endpoints.Internal; reason++ {
		w := httptest.NewRecorder()
		p.Refuse(w, nil, endpoints.Refuse(reason, "why"))
		if kind := w.Header().Get("Content-Type"); kind != "text/plain" || w.Body.String() != "why\n" || w.Code < 400 {
			t.Errorf("reason %d: status %d, %q, %q", reason, w.Code, kind, w.Body)
		}
	}
}

// Some SDKs read only text, in keys of this case.
func TestTheDocumentOfARole(t *testing.T) {
	var members map[string]string
	if err := json.Unmarshal([]byte(endpointstest.Body(t, newOutlet(t, full(endpointstest.YieldDefault(credential))).get(roles+role))), &members); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Code": "Success", "LastUpdated": "2030-01-02T02:04:05Z", "Type": "AWS-HMAC", "AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": secret,
		"Token": "IQoJb3JpZ2luX2VjEXAMPLE//token==", "Expiration": "2030-01-02T03:04:05Z", "AccountId": "123456789012",
	}
	if diff := cmp.Diff(want, members); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
}

// The name of a role may have any of the characters that IAM allows.
func TestRoleNames(t *testing.T) {
	for _, name := range []string{"a", "Reports_2+=,.@-", strings.Repeat("r", 64)} {
		x := newOutlet(t, imds.Options{Provider: endpointstest.YieldDefault(credential), Role: name})
		got := endpointstest.Body(t, x.get(roles))
		if got != name {
			t.Errorf("the role is %q, want %q", got, name)
		}
		if answer := x.get(roles + got); answer.StatusCode != http.StatusOK {
			t.Errorf("GET …/%s = %d, want 200", got, answer.StatusCode)
		}
	}
}

// The requests of the SDKs, as they send them.
func TestClients(t *testing.T) {
	tests := []struct{ name, put, get string }{
		{"botocore", "User-Agent: Boto3/1.43\nContent-Length: 0\n", "User-Agent: Boto3/1.43\nAccept-Encoding: identity\n"},
		{"Go v2", "User-Agent: aws-sdk-go-v2/1.47\nAmz-Sdk-Request: attempt=1; max=3\nContent-Length: 0\n", "Amz-Sdk-Request: attempt=1; max=3\nAccept-Encoding: gzip\n"},
		{"JavaScript v3", "Connection: close\n", "Connection: close\n"},
		{"Java v2", "User-Agent: aws-sdk-java/2.25\nAccept: */*\nConnection: keep-alive\n", "Accept: */*\nConnection: keep-alive\n"},
		{"Rust", "Content-Length: 0\n", "User-Agent: aws-sdk-rust/1.3\n"},
		{"curl in a script", "Accept: */*\nUser-Agent: curl/8.5\n", "Accept: */*\n"},
	}
	x := newOutlet(t, full(endpointstest.YieldDefault(credential)))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := x.ask("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 21600\n" + test.put)
			token := endpointstest.Body(t, answer)
			if answer.StatusCode != http.StatusOK || answer.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != "21600" {
				t.Fatalf("PUT = %d, %v", answer.StatusCode, answer.Header)
			}
			header := " HTTP/1.1\nX-aws-ec2-metadata-token: " + token + "\n" + test.get
			name := endpointstest.Body(t, x.ask("GET "+roles+header))
			if answer := x.ask("GET " + roles + name + header); answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != endpoints.JSON {
				t.Errorf("GET = %d, %s, want 200, %s", answer.StatusCode, answer.Header.Get("Content-Type"), endpoints.JSON)
			}
		})
	}
}
