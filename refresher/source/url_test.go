package source_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/source"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestURLOptions(t *testing.T) {
	headers := func(pairs ...string) map[string]refresher.Secret {
		m := make(map[string]refresher.Secret)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = refresher.Secret(pairs[i+1])
		}
		return m
	}
	const good = "https://token.example/t"
	var b strings.Builder
	for _, test := range []struct {
		name    string
		options source.URLOptions
	}{
		{"nothing", source.URLOptions{}},
		{"http to somewhere else", source.URLOptions{URL: "http://token.example/" + secret}},
		{"a password in the URL", source.URLOptions{URL: "https://user:" + secret + "@token.example/"}},
		{"no host", source.URLOptions{URL: "/var/run/secrets/" + secret}},
		{"another scheme", source.URLOptions{URL: "file:///var/run/secrets/token"}},
		{"a fragment", source.URLOptions{URL: good + "#" + secret}},
		{"a space", source.URLOptions{URL: good + "?a=" + secret + " b"}},
		{"a line feed", source.URLOptions{URL: good + "\r\nHost: " + secret}},
		{"text that is not ASCII", source.URLOptions{URL: good + "?a=é"}},
		{"a type that no URL gives", source.URLOptions{URL: good, Type: refresher.TypeAWSRequest}},
		{"headers of the connection", source.URLOptions{URL: good, Headers: headers(
			"host", "x", "Content-Length", "1", "connection", "close", "TE", "trailers", "Transfer-Encoding", "chunked", "Upgrade", "h2c")}},
		{"names that are none", source.URLOptions{URL: good, Headers: headers("", "x", "a b", "x", "X-Y:", "x", "X\r\nZ", "x", "é", "x")}},
		{"a name twice", source.URLOptions{URL: good, Headers: headers("Metadata", secret, "metadata", secret)}},
		{"values that would not arrive", source.URLOptions{URL: good, Headers: headers(
			"A", secret+"\n", "B", secret+"\r\nC: x", "D", " "+secret, "E", secret+"\x00", "F", secret+"é")}},
		{"good values", source.URLOptions{URL: good, Headers: headers("A", "", "B", "x y\tz", "C", "~!\"#")}},
	} {
		list := test.options.Check()
		b.WriteString(problems(test.name, list))
		test.options.Transport = transport(t, answers(200, ""))
		if _, err := source.NewURL(test.options); (err == nil) != (len(list) == 0) {
			t.Errorf("%s: NewURL: error %v, but Check = %v", test.name, err, list)
		}
	}
	if strings.Contains(b.String(), secret) {
		t.Error("a problem shows a secret")
	}
	golden(t, "options_url", b.String())

	if _, err := source.NewURL(source.URLOptions{URL: good}); err == nil || !strings.Contains(err.Error(), "a Transport is required") {
		t.Errorf("NewURL without a Transport: error %v, want one that says so", err)
	}
}

// The network's own view: what an in-memory transport could do differently.
func TestURLOverASocket(t *testing.T) {
	token := hourToken(1)
	var elsewhere bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "aud=a%2Fb&x" || r.Header.Get("X-Key") != secret {
			t.Errorf("request %v with headers %v, want the query and the header as configured", r.URL, r.Header)
		}
		_, _ = w.Write([]byte(token + "\r\n"))
	})
	mux.Handle("GET /moved", http.RedirectHandler("/elsewhere", http.StatusFound))
	mux.HandleFunc("GET /elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere = true })
	mux.HandleFunc("GET /huge", func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat("e", 64<<10))
		for range 160 {
			if _, err := w.Write(chunk); err != nil {
				return // the client has seen enough
			}
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	network, err := upstream.New(upstream.Options{Proxy: func(*http.Request) (*url.URL, error) {
		t.Error("a proxy was asked for")
		return nil, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (refresher.Token, error) {
		s, err := source.NewURL(source.URLOptions{
			URL: server.URL + path, Headers: map[string]refresher.Secret{"x-key": secret}, Transport: network,
		})
		if err != nil {
			t.Fatal(err)
		}
		return s.Token(t.Context())
	}

	if got, err := get("/token?aud=a%2Fb&x"); err != nil || got.Raw.Reveal() != token {
		t.Errorf("Token = %v, %v, want the server's", got, err)
	}
	if _, err := get("/moved"); refresher.AsError(err) == nil || refresher.AsError(err).Code != upstream.CodeRedirect || elsewhere {
		t.Errorf("Token from a URL that redirects: error %v, followed: %v; want code %q, and false", err, elsewhere, upstream.CodeRedirect)
	}
	if _, err := get("/huge"); refresher.AsError(err) == nil || refresher.AsError(err).Code != refresher.CodeSubjectInvalid {
		t.Errorf("Token of 10 MiB: error %v, want code %q", err, refresher.CodeSubjectInvalid)
	}
}

func TestTypesOfAURL(t *testing.T) {
	idp := cloudtest.NewSAMLIdP(cloudtest.SAMLOptions{EntityID: "https://idp.example"})
	issued := time.Now().Truncate(time.Second).UTC()
	saml := idp.Mint(cloudtest.SAMLTokenOptions{Issued: issued, Lifetime: 10 * time.Minute, Audience: "//iam.googleapis.com/x"})
	if _, err := base64.StdEncoding.DecodeString(saml); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		kind, text string
		expires    time.Time
	}{
		{refresher.TypeSAML2, saml, issued.Add(10 * time.Minute)},
		{refresher.TypeAccessToken, "opaque~token/+=", time.Time{}},
		{refresher.TypeAccessToken, jwt(claims{"exp": 4600}), time.Unix(4600, 0)},
		{refresher.TypeIDToken, jwt(claims{"exp": 4600}), time.Unix(4600, 0)},
		{"", jwt(claims{"exp": 4600}), time.Unix(4600, 0)},
	} {
		s, err := source.NewURL(source.URLOptions{URL: "http://127.0.0.1:1/", Type: test.kind, Transport: transport(t, answers(200, test.text+"\n"))})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Token(t.Context())
		if err != nil {
			t.Errorf("Token of type %q: %v", test.kind, err)
			continue
		}
		want := test.kind
		if want == "" {
			want = refresher.TypeJWT
		}
		if got.Raw.Reveal() != test.text || got.Type != want || !got.Expires.Equal(test.expires) {
			t.Errorf("Token = %+v, want type %q, the text as it is, and expiry %v", got, want, test.expires)
		}
	}
}
