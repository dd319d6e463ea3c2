package endpoints_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

func TestGate(t *testing.T) {
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	host := func(host string) func(*http.Request) {
		return func(r *http.Request) { r.Host = host }
	}
	sends := func(n int) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", n))), int64(n)
		}
	}
	chunked := func(n int) func(*http.Request) {
		return func(r *http.Request) { sends(n)(r); r.ContentLength = -1 }
	}
	fields := func(n int) func(*http.Request) { // besides the secret
		return func(r *http.Request) {
			for i := range n {
				r.Header.Set(fmt.Sprintf("X-%d", i), "")
			}
		}
	}
	repeated := func(n int) func(*http.Request) { return header("X-Same", make([]string, n)...) }

	tests := []struct {
		name   string
		method string // GET if empty
		target string // /vault/token if empty
		spoil  func(*http.Request)
		want   int
	}{
		{name: "a good request", want: 200},
		{name: "HEAD", method: "HEAD", want: 200},
		{name: "a query", target: "/vault/token?a=b", want: 200},

		{name: "Host is the bound address without a port", spoil: host("127.0.0.1"), want: 200},
		{name: "Host is localhost", spoil: host("localhost:9911"), want: 200},
		{name: "Host is LOCALHOST without a port", spoil: host("LOCALHOST"), want: 200},
		{name: "Host is a name of the protocol", spoil: host("vault.internal"), want: 200},
		{name: "Host is a name of the protocol in another case, with the port", spoil: host("VAULT.Internal.:9911"), want: 200},
		{name: "Host is an IPv6 address of the protocol", spoil: host("[fd00:ec2::254]"), want: 200},
		{name: "Host is an IPv6 address of the protocol, with the port", spoil: host("[fd00:ec2::254]:9911"), want: 200},
		{name: "Host is empty", spoil: host(""), want: 400},
		{name: "Host is a rebound name", spoil: host("attacker.example"), want: 403},
		{name: "Host is a rebound name with the port", spoil: host("attacker.example:9911"), want: 403},
		{name: "Host has another port", spoil: host("127.0.0.1:9912"), want: 403},
		{name: "Host has an empty port", spoil: host("127.0.0.1:"), want: 403},
		{name: "Host has a port with a zero in front", spoil: host("127.0.0.1:09911"), want: 403},
		{name: "Host begins with the bound address", spoil: host("127.0.0.1.nip.io"), want: 403},
		{name: "Host is another loopback address", spoil: host("127.0.0.2:9911"), want: 403},
		{name: "Host is the bound address in hexadecimal", spoil: host("0x7f000001:9911"), want: 403},
		{name: "Host is localhost with a final dot", spoil: host("localhost."), want: 403},
		{name: "Host has user information", spoil: host("localhost@attacker.example"), want: 403},
		{name: "Host is a protocol's name on another port", spoil: host("vault.internal:80"), want: 403},

		{name: "X-Forwarded-For", spoil: header("X-Forwarded-For", "127.0.0.1"), want: 403},
		{name: "X-Forwarded-For, empty", spoil: header("X-Forwarded-For", ""), want: 403},
		{name: "X-Forwarded-For, twice", spoil: header("X-Forwarded-For", "a", "b"), want: 403},
		{name: "X-Forwarded-Host", spoil: header("X-Forwarded-Host", "a"), want: 403},
		{name: "X-Forwarded-Proto", spoil: header("X-Forwarded-Proto", "http"), want: 403},
		{name: "Forwarded", spoil: header("Forwarded", "for=127.0.0.1"), want: 403},
		{name: "Via", spoil: header("Via", "1.1 proxy"), want: 403},
		{name: "X-Forwarded-For at an open path", target: "/", spoil: header("X-Forwarded-For", ""), want: 403},
		{name: "X-Forwarded-For with a method that writes", method: "PUT", target: "/vault/put", spoil: header("X-Forwarded-For", ""), want: 403},
		{name: "Origin", spoil: header("Origin", "http://127.0.0.1:9911"), want: 403},
		{name: "Origin, empty", spoil: header("Origin", ""), want: 403},
		{name: "Sec-Fetch-Site", spoil: header("Sec-Fetch-Site", "same-origin"), want: 403},
		{name: "Sec-Fetch-Mode, which Node sends", spoil: header("Sec-Fetch-Mode", "cors"), want: 200},
		{name: "a CORS preflight", method: "OPTIONS", spoil: header("Origin", "http://attacker.example"), want: 403},

		{name: "100 fields", spoil: fields(99), want: 200},
		{name: "101 fields", spoil: fields(100), want: 431},
		{name: "one field 100 times", spoil: repeated(100), want: 431},

		{name: "the root", target: "/", want: 200},
		{name: "the root without a secret", target: "/", spoil: header("X-Secret"), want: 200},
		{name: "a slash more in front", target: "//vault/token", want: 200},
		{name: "many slashes in front", target: "/////vault/token", want: 200},
		{name: "a slash more inside", target: "/vault//token", want: 404},
		{name: "a slash at the end", target: "/vault/token/", want: 404},
		{name: "one dot", target: "/vault/./token", want: 404},
		{name: "two dots", target: "/vault/../vault/token", want: 404},
		{name: "two dots, encoded", target: "/vault/%2e%2e/vault/token", want: 404},
		{name: "two dots in front", target: "/../vault/token", want: 404},
		{name: "an encoded slash", target: "/vault%2ftoken", want: 404},
		{name: "an encoded slash, upper case", target: "/vault%2Ftoken", want: 404},
		{name: "an encoded slash in front", target: "/%2fvault/token", want: 404},
		{name: "an encoded slash in the place of the first", target: "/vault/x%2f..%2ftoken", want: 404},
		{name: "an encoded letter, which is the letter", target: "/v%61ult/token", want: 200},
		{name: "a letter encoded twice", target: "/v%2561ult/token", want: 404},
		{name: "a NUL at the end", target: "/vault/token%00", want: 404},
		{name: "a parameter", target: "/vault/token;x", want: 404},
		{name: "a parameter, encoded", target: "/vault/token%3bx", want: 404},
		{name: "an encoded question mark", target: "/vault/token%3fx", want: 404},
		{name: "a space at the end", target: "/vault/token%20", want: 404},
		{name: "another case", target: "/Vault/token", want: 404},
		{name: "a backslash", target: `/vault\token`, want: 404},
		{name: "an unknown path", target: "/debug/pprof/", want: 404},
		{name: "an unknown path without a secret", target: "/debug/pprof/", spoil: header("X-Secret"), want: 404},
		{name: "an unknown path in the territory without a secret", target: "/vault/x", spoil: header("X-Secret"), want: 401},
		{name: "an encoded slash in the territory without a secret", target: "/vault/%2f", spoil: header("X-Secret"), want: 401},
		{name: "a folded path", target: "/FOLDER/tOKEN", want: 200},
		{name: "a folded path, two slashes in front", target: "//folder/token", want: 200},
		{name: "a folded path with a slash at the end", target: "/folder/token/", want: 404},
		{name: "an unknown path without a guard", target: "/folder/x", want: 404},

		{name: "POST", method: "POST", want: 405},
		{name: "PUT", method: "PUT", want: 405},
		{name: "DELETE", method: "DELETE", want: 405},
		{name: "PATCH", method: "PATCH", want: 405},
		{name: "OPTIONS", method: "OPTIONS", want: 405},
		{name: "TRACE", method: "TRACE", want: 405},
		{name: "CONNECT", method: "CONNECT", want: 405},
		{name: "an invented method", method: "GETT", want: 405},
		{name: "a method in lower case", method: "get", want: 405},
		{name: "HEAD where there is only GET", method: "HEAD", target: "/folder/token", want: 405},
		{name: "GET where there is only PUT", target: "/vault/put", want: 405},
		{name: "the wrong method without a secret", method: "POST", spoil: header("X-Secret"), want: 405},
		{name: "PUT where it belongs", method: "PUT", target: "/vault/put", want: 200},

		{name: "no secret", spoil: header("X-Secret"), want: 401},
		{name: "an empty secret", spoil: header("X-Secret", ""), want: 401},
		{name: "a part of the secret", spoil: header("X-Secret", password[:5]), want: 401},
		{name: "more than the secret", spoil: header("X-Secret", password+"x"), want: 401},
		{name: "the secret twice", spoil: header("X-Secret", password, password), want: 400},
		{name: "the secret twice, first a wrong one", spoil: header("X-Secret", "x", password), want: 400},

		{name: "a body of one byte", spoil: sends(1), want: 200},
		{name: "a body of 4 KiB", spoil: sends(4 << 10), want: 200},
		{name: "a body of 4 KiB and one byte", spoil: sends(4<<10 + 1), want: 413},
		{name: "a body of 5 KiB", spoil: sends(5 << 10), want: 413},
		{name: "a chunked body with GET", spoil: chunked(1), want: 400},
		{name: "a chunked body with HEAD", method: "HEAD", spoil: chunked(1), want: 400},
		{name: "a chunked body with PUT", method: "PUT", target: "/vault/put", spoil: chunked(5), want: 200},
		{name: "a large chunked body with PUT", method: "PUT", target: "/vault/put", spoil: chunked(5 << 10), want: 413},
		{name: "a form", method: "POST", target: "/vault/form", spoil: sends(3), want: 200},
		{name: "a chunked form", method: "POST", target: "/vault/form", spoil: chunked(3), want: 200},
		{name: "a large form", method: "POST", target: "/vault/form", spoil: sends(5 << 10), want: 413},
		{name: "a large chunked form", method: "POST", target: "/vault/form", spoil: chunked(5 << 10), want: 413},
		{name: "a body that breaks off", spoil: func(r *http.Request) { sends(3)(r); r.Body = io.NopCloser(brokenBody{}) }, want: 400},
	}
	s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault(), folder()}})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			method, target := test.method, test.target
			if method == "" {
				method = http.MethodGet
			}
			if target == "" {
				target = "/vault/token"
			}
			r := good(t, method, target)
			if test.spoil != nil {
				test.spoil(r)
			}
			answer := ask(t, s, r)
			text := endpointstest.Body(t, answer)
			if answer.StatusCode != test.want {
				t.Errorf("%s %s = %d %q, want %d", method, target, answer.StatusCode, text, test.want)
			}
			harmless(t, answer, text)
			if r.ContentLength < 0 && answer.Header.Get("Connection") != "close" {
				t.Error("the connection stays open after a chunked body")
			}
		})
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The one request has every fault; they are repaired one by one, and each time the next one shows.
func TestGateOrder(t *testing.T) {
	s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault()}})
	r := good(t, http.MethodDelete, "/vault/token")
	r.Host = "attacker.example"
	for i := range 200 {
		r.Header.Set(fmt.Sprintf("X-%d", i), "")
	}
	r.Header.Set("Via", "1.1 proxy")
	r.Header.Set("Origin", "null")
	r.Header["X-Secret"] = []string{"a", "b"}
	r.ContentLength = 5 << 10

	steps := []struct {
		want   string
		repair func()
	}{
		{"vault: the Host header names a different server", func() { r.Host = address }},
		{"vault: too many header fields", func() {
			for i := range 200 {
				r.Header.Del(fmt.Sprintf("X-%d", i))
			}
		}},
		{"vault: forwarded requests are refused; ask on the loopback address, without a proxy", func() { r.Header.Del("Via") }},
		{"vault: requests from web pages are refused", func() { r.Header.Del("Origin") }},
		{"vault: this path does not answer this method", func() { r.Method = http.MethodGet }},
		{"vault: a header field that decides about access is repeated", func() { r.Header.Set("X-Secret", "a") }},
		{"vault: the secret is wrong", func() { r.Header.Set("X-Secret", password) }},
		{"vault: the body is too large", func() { r.ContentLength = 0 }},
		{treasure, func() {}},
	}
	for _, step := range steps {
		if got := endpointstest.Body(t, ask(t, s, r)); got != step.want {
			t.Errorf("the answer is %q, want %q", got, step.want)
		}
		step.repair()
	}
}

func TestGateNamesTheMethods(t *testing.T) {
	s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault()}})
	for target, want := range map[string]string{"/vault/token": "GET, HEAD", "/vault/put": "PUT"} {
		if got := ask(t, s, good(t, http.MethodDelete, target)).Header.Get("Allow"); got != want {
			t.Errorf("DELETE %s: Allow = %q, want %q", target, got, want)
		}
	}
	if got, there := ask(t, s, good(t, http.MethodGet, "/vault/token")).Header["Allow"]; there {
		t.Errorf("GET: Allow = %q, want none", got)
	}
}

// A request whose local address is unknown cannot be checked for rebinding.
func TestGateNeedsTheLocalAddress(t *testing.T) {
	s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault()}})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, good(t, http.MethodGet, "/vault/token"))
	if w.Code != http.StatusForbidden {
		t.Errorf("status = %d, want 403", w.Code)
	}
}

func TestGateReportsEveryAnswer(t *testing.T) {
	var seen []string
	s := newServer(t, endpoints.ServerOptions{
		Protocols: []*endpoints.Protocol{vault()},
		OnAnswer:  func(protocol string, status int) { seen = append(seen, fmt.Sprintf("%s %d", protocol, status)) },
	})
	for _, target := range []string{"/vault/token", "/vault/x", "/x"} {
		ask(t, s, good(t, http.MethodGet, target))
	}
	ask(t, s, good(t, http.MethodPost, "/vault/token"))
	got, want := strings.Join(seen, ", "), "vault 200, vault 404,  404, vault 405"
	if got != want {
		t.Errorf("OnAnswer saw %q, want %q", got, want)
	}
}

func TestGateAnswers(t *testing.T) {
	s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault()}})
	rebound := good(t, http.MethodGet, "/x")
	rebound.Host = "attacker.example"
	for name, r := range map[string]*http.Request{
		"ok":               good(t, http.MethodGet, "/vault/token"),
		"wrong_method":     good(t, http.MethodPost, "/vault/token"),
		"nobodys_path":     good(t, http.MethodGet, "/x"),
		"nobodys_rebinder": rebound,
	} {
		t.Run(name, func(t *testing.T) { endpointstest.Golden(t, name, ask(t, s, r)) })
	}
}
