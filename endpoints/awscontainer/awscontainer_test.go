package awscontainer_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/awscontainer"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	address = "127.0.0.1:9911"
	secret  = "Zm9yIHRlc3RzIG9ubHk"
)

var credential = refresher.Credential{
	Value: refresher.AccessKey{
		ID:           "ASIAIOSFODNN7EXAMPLE",
		Secret:       "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		SessionToken: "IQoJb3JpZ2luX2VjEXAMPLE//token==",
		AccountID:    "123456789012",
	},
	// Elsewhere, and with a fraction: the answer is in UTC and whole seconds.
	Expires: time.Date(2030, 1, 2, 4, 4, 5, 999, time.FixedZone("", 3600)),
}

// outlet has one entry per case.
func outlet(t testing.TB, secret refresher.Secret) *endpoints.Server {
	t.Helper()
	bare := credential
	key := credential.Value.(refresher.AccessKey)
	key.AccountID = ""
	bare.Value = key
	s, err := endpoints.NewServer(endpoints.ServerOptions{Protocols: []*endpoints.Protocol{awscontainer.New(awscontainer.Options{
		Secret: secret,
		Entries: []awscontainer.Entry{
			{Path: "/aws/full", Provider: endpointstest.YieldDefault(credential), RoleARN: "arn:aws:iam::123456789012:role/reports"},
			{Path: "/aws/bare", Provider: endpointstest.YieldDefault(bare)},
			{Path: "/aws/cold", Provider: endpointstest.Fail(refresher.Transient, "AccessDenied")},
			{Path: "/aws/denied", Provider: endpointstest.Fail(refresher.Denied, "AccessDenied")},
			{Path: "/aws/broken", Provider: endpointstest.Provider(nil)},
			{Path: "/aws/bearer", Provider: endpointstest.YieldDefault(refresher.Credential{Value: refresher.Bearer{Token: "ya29.token"}})},
		},
	})}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(method, target string, authorization ...string) *http.Request {
	local := net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911})
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, local)
	r := httptest.NewRequestWithContext(ctx, method, target, nil)
	r.Host = address
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	return r
}

// Every answer that there is, success or not. That of an unknown path is the gate's: nothing says whose
// it would be.
func TestAnswers(t *testing.T) {
	const authorized = " HTTP/1.1\nAuthorization: " + secret + "\n"
	raw := func(text string) *http.Request { return endpointstest.Request(t, text) }
	with := func(r *http.Request, name, value string) *http.Request {
		r.Header.Set(name, value)
		return r
	}
	tests := []struct {
		name    string
		request *http.Request
	}{
		{"full", request("GET", "/aws/full", secret)},
		{"without_account_and_role", request("GET", "/aws/bare", secret)},
		{"not_ready", request("GET", "/aws/cold", secret)},
		{"denied", request("GET", "/aws/denied", secret)},
		{"not_an_access_key", request("GET", "/aws/bearer", secret)},
		{"no_authorization", request("GET", "/aws/full")},
		{"wrong_authorization", request("GET", "/aws/full", "Bearer "+secret)},
		{"two_authorizations", request("GET", "/aws/full", secret, secret)},
		{"wrong_method", request("POST", "/aws/full", secret)},
		{"wrong_host", raw("GET /aws/full" + authorized + "Host: attacker.example")},
		{"no_host", raw("GET /aws/full HTTP/1.0\nHost:\nAuthorization: " + secret)},
		{"browser", raw("GET /aws/full" + authorized + "Sec-Fetch-Site: cross-site")},
		{"too_many_fields", raw("GET /aws/full" + authorized + strings.Repeat("X: x\n", 100))},
		{"large_body", raw("GET /aws/full" + authorized + "\n" + strings.Repeat("x", 5<<10))},
		{"chunked_body", raw("GET /aws/full" + authorized + "Transfer-Encoding: chunked\n\n1\r\nx\r\n0\r\n\r\n")},
		{"short_body", breakingOff(request("GET", "/aws/full", secret))},
		{"panic", request("GET", "/aws/broken", secret)},
		{"forwarded", with(request("GET", "/aws/full", secret), "X-Forwarded-For", "")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// In a bubble, so that waiting takes no time.
			synctest.Test(t, func(t *testing.T) {
				endpointstest.Golden(t, test.name, serve(outlet(t, secret), test.request).Result())
			})
		})
	}
}

// breakingOff makes a body of a request end before it is complete.
func breakingOff(r *http.Request) *http.Request {
	r.ContentLength, r.Body = 5, io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	return r
}

// The requests of the SDKs, as they send them.
func TestClients(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
	}{
		{"botocore", http.Header{"Accept": {"application/json"}, "User-Agent": {"python-urllib3/2.2"}, "Accept-Encoding": {"identity"}}},
		{"Go v2", http.Header{"Accept": {"application/json"}, "User-Agent": {"aws-sdk-go-v2/1.47"}, "Accept-Encoding": {"gzip"}, "Amz-Sdk-Request": {"attempt=1; max=3"}}},
		{"JavaScript v3", http.Header{"Connection": {"close"}}},
		{"Java v2", http.Header{"Accept": {"*/*"}, "User-Agent": {"aws-sdk-java/2.25"}, "Connection": {"keep-alive"}}},
		{"Rust", http.Header{"Accept": {"application/json"}}},
		{"Ruby", http.Header{"Accept": {"*/*"}, "Accept-Encoding": {""}, "User-Agent": {"aws-sdk-ruby3/3.1"}}},
		{"Node's fetch", http.Header{"Accept": {"*/*"}, "Accept-Language": {"*"}, "Sec-Fetch-Mode": {"cors"}, "User-Agent": {"node"}, "Accept-Encoding": {"gzip, deflate"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := request("GET", "/aws/full?unread=1", secret)
			maps.Copy(r.Header, test.header)
			w := serve(outlet(t, secret), r)
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("answer is %d, %s, want 200, application/json", w.Code, w.Header().Get("Content-Type"))
			}
		})
	}
}

func TestAuthorization(t *testing.T) {
	tests := []struct {
		name string
		sent []string
		want int
	}{
		{"right", []string{secret}, 200},
		{"none", nil, 401},
		{"empty", []string{""}, 401},
		{"wrong", []string{"x"}, 403},
		{"the beginning", []string{secret[:10]}, 403},
		{"the end", []string{secret[1:]}, 403},
		{"doubled", []string{secret + secret}, 403},
		{"with a line's end", []string{secret + "\n"}, 403},
		{"in another case", []string{strings.ToLower(secret)}, 403},
		{"what the secret prints", []string{refresher.Redacted}, 403},
		{"twice", []string{secret, secret}, 400},
	}
	s := outlet(t, secret)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD"} {
				w := serve(s, request(method, "/aws/full", test.sent...))
				if w.Code != test.want {
					t.Errorf("%s = %d, want %d", method, w.Code, test.want)
				}
				if leak := strings.Contains(w.Body.String(), "wJalr"); leak != (test.want == 200) {
					t.Errorf("%s with status %d: the key is in the answer: %v", method, w.Code, leak)
				}
			}
		})
	}
}

func TestWithoutASecretAnybodyIsServed(t *testing.T) {
	for _, sent := range [][]string{nil, {""}, {"Bearer x"}} {
		if w := serve(outlet(t, ""), request("GET", "/aws/full", sent...)); w.Code != http.StatusOK {
			t.Errorf("with Authorization %q the status is %d, want 200", sent, w.Code)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	for _, target := range []string{"/", "/aws", "/aws/", "/aws/full/", "/aws/other", "/AWS/full", "/aws//full", "/aws/cold/../full", "/aws%2ffull"} {
		if w := serve(outlet(t, secret), request("GET", target, secret)); w.Code != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", target, w.Code)
		}
	}
}

func TestHold(t *testing.T) {
	ask := func(t *testing.T, p endpoints.Provider) (int, time.Duration) {
		s, err := endpoints.NewServer(endpoints.ServerOptions{Protocols: []*endpoints.Protocol{
			awscontainer.New(awscontainer.Options{Entries: []awscontainer.Entry{{Path: "/aws", Provider: p}}}),
		}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		w := serve(s, request("GET", "/aws"))
		return w.Code, time.Since(start)
	}
	tests := []struct {
		name     string
		provider endpointstest.Provider
		want     int
		after    time.Duration
	}{
		{"a credential is at hand", endpointstest.YieldDefault(credential), 200, 0},
		{"there is none for long", endpointstest.Fail(refresher.Transient, "AccessDenied"), 503, 800 * time.Millisecond},
		{"the cloud refuses", endpointstest.Fail(refresher.Denied, "AccessDenied"), 503, 0},
		{"one comes in time", func(context.Context, refresher.Target) (refresher.Credential, error) {
			time.Sleep(700 * time.Millisecond)
			return credential, nil
		}, 200, 700 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if status, after := ask(t, test.provider); status != test.want || after != test.after {
					t.Errorf("answer is %d after %v, want %d after %v", status, after, test.want, test.after)
				}
			})
		})
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, sent := range []string{secret, "", "x", "Bearer " + secret, secret + " ", refresher.Redacted} {
		f.Add(sent)
	}
	s := outlet(f, secret)
	f.Fuzz(func(t *testing.T, sent string) {
		w := serve(s, request("GET", "/aws/full", sent))
		if got, want := w.Code == http.StatusOK, sent == secret; got != want {
			t.Errorf("Authorization %q: served = %v, want %v", sent, got, want)
		}
	})
}

func serve(s *endpoints.Server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}
