package entra_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/entra"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

var update = flag.Bool("update", false, "write golden files")

const (
	tenant = "11111111-2222-3333-4444-555555555555"
	client = "66666666-7777-8888-9999-aaaaaaaaaaaa"
)

// microsoft answers every token request alike, in memory, and keeps the requests.
type microsoft struct {
	status int
	body   string
	header map[string]string
	err    error

	mu       sync.Mutex
	requests []recorded // guarded by mu
}

type recorded struct {
	method, url string
	header      http.Header
	body        string
}

const tokenAnswer = `{"token_type":"Bearer","expires_in":86399,"ext_expires_in":86399,"refresh_in":43199,"access_token":"entra-token"}`

func (m *microsoft) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.requests = append(m.requests, recorded{req.Method, req.URL.String(), req.Header.Clone(), string(body)})
	m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	resp := &http.Response{
		StatusCode: m.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader(m.body)), Request: req,
	}
	for name, value := range m.header {
		resp.Header.Set(name, value)
	}
	return resp, nil
}

func exchanger(t testing.TB, m *microsoft, changes ...func(*entra.Options)) *entra.Exchanger {
	t.Helper()
	transport, err := upstream.New(upstream.Options{Base: m, AllowInsecureLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	o := entra.Options{TenantID: tenant, ClientID: client, Transport: transport}
	for _, change := range changes {
		change(&o)
	}
	x, err := entra.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func jwt(claims string) refresher.Secret {
	enc := base64.RawURLEncoding.EncodeToString
	return refresher.Secret(enc([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature")))
}

const claims = `{"iss":"https://oidc.example","sub":"system:serviceaccount:reports:runner","aud":["api://AzureADTokenExchange"],"exp":1893553445}`

var subject = refresher.Token{Raw: jwt(claims), Type: refresher.TypeJWT}

func TestScope(t *testing.T) {
	for resource, want := range map[string]string{
		"https://management.azure.com":            "https://management.azure.com/.default",
		"https://management.azure.com/":           "https://management.azure.com//.default",
		"https://Management.Azure.com/.default":   "https://Management.Azure.com/.default",
		"https://database.windows.net//.default":  "https://database.windows.net//.default",
		"00000003-0000-0000-c000-000000000000":    "00000003-0000-0000-c000-000000000000/.default",
		"api://AzureADTokenExchange":              "api://AzureADTokenExchange/.default",
		"https://management.azure.com/.default/x": "https://management.azure.com/.default/x/.default",
	} {
		if got := entra.Scope(resource); got != want {
			t.Errorf("Scope(%q) = %q, want %q", resource, got, want)
		}
	}
}

func TestRequestsOnTheWire(t *testing.T) {
	tests := []struct {
		golden string
		target refresher.Target
		change func(*entra.Options)
	}{
		{"default_resource", refresher.Target{}, func(*entra.Options) {}},
		{"scope_of_the_target", refresher.Target{Scope: entra.Scope("https://vault.azure.net")}, func(*entra.Options) {}},
		{"china", refresher.Target{}, func(o *entra.Options) { o.Authority = " https://login.chinacloudapi.cn// " }},
		{"bare_host_and_domain", refresher.Target{}, func(o *entra.Options) {
			o.Authority, o.TenantID = "Login.MicrosoftOnline.us", "contoso.onmicrosoft.us"
		}},
		{"own_authority_and_resource", refresher.Target{}, func(o *entra.Options) {
			o.Authority, o.Resource = "https://login.sovcloud-identity.fr/", "https://arm.example"
		}},
		{"loopback", refresher.Target{}, func(o *entra.Options) { o.Authority = "http://127.0.0.1:8080/" }},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			m := &microsoft{status: 200, body: tokenAnswer}
			if _, err := exchanger(t, m, test.change).Exchange(t.Context(), subject, test.target); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, test.golden, m.dump())
		})
	}
}

// requestID is the one part of a request that differs each time: a random UUID.
var requestID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func (m *microsoft) dump() []byte {
	var b bytes.Buffer
	for _, r := range m.requests {
		fmt.Fprintf(&b, "%s %s\n", r.method, r.url)
		var names []string
		for name := range r.header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&b, "%s: %s\n", name, requestID.ReplaceAllString(strings.Join(r.header[name], ", "), "UUID"))
		}
		fmt.Fprintf(&b, "\n%s\n", r.body)
	}
	return b.Bytes()
}

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestExpiresInTheServicesTime(t *testing.T) {
	tests := []struct {
		expiresIn string // as JSON
		want      time.Duration
	}{
		{`86399`, 86399 * time.Second},
		{`"3600"`, time.Hour},
		{`3600.5`, time.Hour},
		{`"3600.9"`, time.Hour},
		{`4.5e3`, 4500 * time.Second},
		{`1e12`, 100 * 365 * 24 * time.Hour}, // the engine believes less
	}
	for _, test := range tests {
		t.Run(test.expiresIn, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				behind := time.Now().Add(-2 * time.Hour).UTC().Truncate(time.Second)
				m := &microsoft{
					status: 200,
					body:   `{"token_type":"Bearer","expires_in":` + test.expiresIn + `,"refresh_in":60,"access_token":"entra-token"}`,
					header: map[string]string{"Date": behind.Format(http.TimeFormat)},
				}
				a := new(refresher.Attempt)
				c, err := exchanger(t, m).Exchange(refresher.WithAttempt(t.Context(), a), subject, refresher.Target{})
				if err != nil {
					t.Fatal(err)
				}
				if want := behind.Add(test.want); !c.Expires.Equal(want) {
					t.Errorf("Expires = %v, want %v", c.Expires, want)
				}
				if want := (refresher.Bearer{Token: "entra-token", Type: refresher.TypeAccessToken}); c.Value != want {
					t.Errorf("Value = %#v, want %#v", c.Value, want)
				}
				if got := a.Data().Requested; got != 0 {
					t.Errorf("Requested = %v, want 0: Entra takes no lifetime", got)
				}
			})
		})
	}
}

func TestEveryExchangeIsARequest(t *testing.T) {
	m := &microsoft{status: 200, body: tokenAnswer}
	x := exchanger(t, m)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ids := make(map[string]bool)
	for _, r := range m.requests {
		ids[r.header.Get("client-request-id")] = true
	}
	if len(m.requests) != 3 || len(ids) != 3 {
		t.Errorf("requests = %d with %d ids, want 3 with an id each", len(m.requests), len(ids))
	}
}

func TestRequestIDIsKnownWhateverHappens(t *testing.T) {
	tests := []struct {
		name string
		m    *microsoft
		want string // "" means the one that was sent
	}{
		{"no answer", &microsoft{err: io.EOF}, ""},
		{"an answer without one", &microsoft{status: 500}, ""},
		{"an answer with one", &microsoft{status: 500, header: map[string]string{"X-Ms-Request-Id": "abc"}}, "abc"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := new(refresher.Attempt)
			if _, err := exchanger(t, test.m).Exchange(refresher.WithAttempt(t.Context(), a), subject, refresher.Target{}); err == nil {
				t.Fatal("Exchange succeeded")
			}
			want := test.want
			if want == "" {
				want = test.m.requests[0].header.Get("client-request-id")
			}
			if got := a.Data().RequestID; got != want {
				t.Errorf("RequestID = %q, want %q", got, want)
			}
		})
	}
}

func TestNoIDTokens(t *testing.T) {
	m := &microsoft{status: 200, body: tokenAnswer}
	_, err := exchanger(t, m).Exchange(t.Context(), subject, refresher.Target{Audience: "https://app.example"})
	e := refresher.AsError(err)
	if e == nil || e.Class != refresher.Denied || e.Code != entra.CodeIDTokenUnsupported {
		t.Errorf("error = %#v, want denied %s", e, entra.CodeIDTokenUnsupported)
	}
	if len(m.requests) != 0 {
		t.Errorf("requests = %d, want none", len(m.requests))
	}
}

func TestExchangeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := &microsoft{err: context.Canceled}
	_, err := exchanger(t, m).Exchange(ctx, subject, refresher.Target{})
	if e := refresher.AsError(err); e == nil || e.Class != refresher.Transient {
		t.Errorf("error = %v, want a transient one", err)
	}
}
