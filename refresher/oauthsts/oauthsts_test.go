package oauthsts_test

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/oauthsts"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

var update = flag.Bool("update", false, "write golden files")

const (
	tokenURL = "https://sso.example/token"
	answered = `{"access_token":"issued","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":300}`
)

// An endpoint answers every request alike, in memory, and keeps the requests.
type endpoint struct {
	status int // 0: 200
	body   string
	header map[string]string
	err    error

	mu       sync.Mutex
	requests []recorded // guarded by mu
}

type recorded struct {
	method, url string
	header      http.Header
	form        url.Values
}

func (e *endpoint) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.requests = append(e.requests, recorded{req.Method, req.URL.String(), req.Header.Clone(), form})
	e.mu.Unlock()
	if e.err != nil {
		return nil, e.err
	}
	resp := &http.Response{
		StatusCode: max(e.status, 200), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader(e.body)), Request: req,
	}
	for name, value := range e.header {
		resp.Header.Set(name, value)
	}
	return resp, nil
}

func exchanger(t testing.TB, e *endpoint, changes ...func(*options)) *oauthsts.Exchanger {
	t.Helper()
	transport, err := upstream.New(upstream.Options{Base: e, AllowInsecureLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	o := options{TokenURL: tokenURL, Transport: transport}
	for _, change := range changes {
		change(&o)
	}
	x, err := oauthsts.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// jwt is a JWT whose signature nobody checks.
func jwt(claims string) refresher.Secret {
	enc := base64.RawURLEncoding.EncodeToString
	return refresher.Secret(enc([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature")))
}

var subject = refresher.Token{
	Raw:  jwt(`{"iss":"https://oidc.example","sub":"system:serviceaccount:reports:runner","aud":["sso"],"exp":1893553445}`),
	Type: refresher.TypeJWT,
}

func TestRequestsOnTheWire(t *testing.T) {
	everything := func(o *options) {
		o.TokenURL += "?tenant=a"
		o.Audience, o.Resource = []string{"orders", "stock"}, []string{"https://api.example/b", "https://api.example/a"}
		o.Scopes = []string{"write", "read", "write"}
		o.SubjectTokenType, o.RequestedTokenType = refresher.TypeIDToken, refresher.TypeJWT
		o.Parameters = map[string]string{"subject_issuer": "cluster", "empty": ""}
	}
	secretFile := filepath.Join(t.TempDir(), "secret")
	write(t, secretFile, "\n from a file \r\n")
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	write(t, keyFile, pkcs8(t, testKeys().p256))
	withKey := func(o *options) { o.ClientID, o.PrivateKeyFile = "wisp", keyFile }

	tests := []struct {
		golden string
		target refresher.Target
		change func(*options)
	}{
		{"bare", refresher.Target{}, func(*options) {}},
		{"everything", refresher.Target{}, everything},
		{"scope_of_the_target", refresher.Target{Scope: "admin read"}, everything},
		{"id_token", refresher.Target{Audience: "https://app.example"}, everything},
		{"loopback", refresher.Target{}, func(o *options) { o.TokenURL = "http://127.0.0.1:8080/realms/a/protocol/openid-connect/token" }},
		{"none", refresher.Target{}, func(o *options) { o.ClientID = "wisp" }},
		{"basic", refresher.Target{}, func(o *options) { o.ClientID, o.ClientSecret = "wisp:ä b", "hunter:2+%" }},
		{"basic_from_a_file", refresher.Target{}, func(o *options) { o.ClientID, o.ClientSecretFile = "wisp", secretFile }},
		{"post", refresher.Target{}, func(o *options) { o.ClientID, o.ClientSecret, o.ClientAuth = "wisp", "hunter2", "post" }},
		{"private_key_jwt", refresher.Target{}, withKey},
		{"private_key_jwt_everything", refresher.Target{}, func(o *options) {
			withKey(o)
			o.KeyID, o.SigningAlgorithm, o.AssertionAudience = "k1", "ES256", "https://sso.example"
		}},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that an assertion's times are the same every time
				token := jwt(`{"aud":"https://app.example","exp":1893553445}`)
				e := &endpoint{body: `{"access_token":"` + token.Reveal() + `","expires_in":300}`}
				if _, err := exchanger(t, e, test.change).Exchange(t.Context(), subject, test.target); err != nil {
					t.Fatal(err)
				}
				checkGolden(t, "wire_"+test.golden, e.dump(t))
			})
		})
	}
}

var jti = regexp.MustCompile(`"jti":"[A-Z2-7]{26}"`)

// dump shows requests with everything secret replaced, and what is encoded decoded.
func (e *endpoint) dump(t *testing.T) string {
	var b strings.Builder
	for _, r := range e.requests {
		fmt.Fprintf(&b, "%s %s\n", r.method, r.url)
		for _, name := range slices.Sorted(maps.Keys(r.header)) {
			value := strings.Join(r.header[name], ", ")
			if pair, ok := strings.CutPrefix(value, "Basic "); ok {
				text, err := base64.StdEncoding.DecodeString(pair)
				if err != nil {
					t.Error(err)
				}
				value = "Basic <base64 of " + string(text) + ">"
			}
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
		b.WriteString("\n")
		for _, name := range slices.Sorted(maps.Keys(r.form)) {
			for _, value := range r.form[name] {
				switch {
				case name == "subject_token" && value == subject.Raw.Reveal():
					value = "<the subject token>"
				case name == "client_assertion":
					value = jti.ReplaceAllString(decoded(t, value), `"jti":"<26 characters of base32>"`)
				}
				fmt.Fprintf(&b, "%s=%s\n", name, value)
			}
		}
	}
	return b.String()
}

// decoded shows a JWT's header and claims.
func decoded(t *testing.T, token string) string {
	parts := strings.Split(token, ".")
	for i := range parts[:2] {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		parts[i] = string(text)
	}
	return parts[0] + " " + parts[1] + " <signature>"
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultScopeIsCanonical(t *testing.T) {
	x := exchanger(t, &endpoint{}, func(o *options) { o.Scopes = []string{"write", "read", "write"} })
	if got, want := x.DefaultScope(), "read write"; got != want {
		t.Errorf("DefaultScope() = %q, want %q", got, want)
	}
	if got := exchanger(t, &endpoint{}).DefaultScope(); got != "" {
		t.Errorf("DefaultScope() without scopes = %q, want none", got)
	}
}

func TestLaterChangesOfTheOptionsHaveNoEffect(t *testing.T) {
	o := options{Audience: []string{"orders"}, Resource: []string{"urn:orders"}, Parameters: map[string]string{"x": "1"}}
	e := &endpoint{body: answered}
	x := exchanger(t, e, func(made *options) {
		made.Audience, made.Resource, made.Parameters = o.Audience, o.Resource, o.Parameters
	})
	o.Audience[0], o.Resource[0], o.Parameters["x"] = "stock", "urn:stock", "2"
	if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err != nil {
		t.Fatal(err)
	}
	form := e.requests[0].form
	if form.Get("audience") != "orders" || form.Get("resource") != "urn:orders" || form.Get("x") != "1" {
		t.Errorf("form = %v, want what New was given", form)
	}
}

func TestEveryExchangeIsARequestWithItsOwnAssertion(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	write(t, keyFile, pkcs8(t, testKeys().ed25519))
	e := &endpoint{body: answered}
	x := exchanger(t, e, func(o *options) { o.ClientID, o.PrivateKeyFile = "wisp", keyFile })
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	assertions := make(map[string]bool)
	for _, r := range e.requests {
		assertions[r.form.Get("client_assertion")] = true
	}
	if len(e.requests) != 3 || len(assertions) != 3 {
		t.Errorf("requests = %d with %d assertions, want 3 with one each", len(e.requests), len(assertions))
	}
}

func TestExchangeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := exchanger(t, &endpoint{err: context.Canceled}).Exchange(ctx, subject, refresher.Target{})
	if e, ok := errors.AsType[*refresher.Error](err); !ok || e.Class != refresher.Transient {
		t.Errorf("error = %v, want a transient one", err)
	}
}
