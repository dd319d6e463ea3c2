package endpoints_test

import (
	"bufio"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

// Whatever arrives, nothing panics, and who gets the treasure has kept all rules. The rules are
// written down here a second time, on the text of the request rather than on what was parsed.
func FuzzGate(f *testing.F) {
	secret := "X-Secret: " + password
	f.Add("GET", "/vault/token", address, secret)
	f.Add("HEAD", "//vault/token?a=b", "localhost", secret)
	f.Add("PUT", "/vault/put", "vault.internal.:9911", secret)
	f.Add("POST", "/vault/form", "[fd00:ec2::254]", secret+"\r\nContent-Length: 0")
	f.Add("GET", "/", "127.0.0.1", "X-Forwarded-For:")
	f.Add("GET", "/v%61ult/token", address, secret+"\r\nOrigin: null")
	f.Add("GET", "/vault/%2e%2e/token", "127.0.0.1.nip.io", secret)
	f.Add("GET", "/vault%2ftoken", "evil.example", "x-secret: "+password)
	f.Add("GET", "http://evil.example/vault/token", address, secret+"\r\n"+secret)
	f.Add("CONNECT", address, address, secret)
	f.Add("OPTIONS", "*", address, "Via: x")
	f.Add("GET", "/FOLDER/token", address, "Transfer-Encoding: chunked")
	f.Add("GET", "/vault/token\x00", "", "Sec-Fetch-Site: none")

	hosts := []string{"127.0.0.1", "localhost", "vault.internal", "vault.internal.", "169.254.169.254", "fd00:ec2::254", "[fd00:ec2::254]"}
	methods := map[string][]string{
		"/":            {"GET", "HEAD"},
		"/vault/token": {"GET", "HEAD"},
		"/vault/put":   {"PUT"},
		"/vault/form":  {"POST"},
	}
	s := newServer(f, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault(), folder()}})

	f.Fuzz(func(t *testing.T, method, target, host, header string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + header + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		answer := ask(t, s, r)
		text := endpointstest.Body(t, answer)
		harmless(t, answer, text)
		if !strings.Contains(text, treasure) {
			return
		}

		path := "/" + strings.TrimLeft(r.URL.Path, "/")
		if !slices.Contains(methods[path], r.Method) {
			t.Errorf("%s %s is answered", r.Method, path)
		}
		if name := strings.ToLower(strings.TrimSuffix(r.Host, ":9911")); !slices.Contains(hosts, name) {
			t.Errorf("Host %q is answered", r.Host)
		}
		if strings.Contains(strings.ToLower(r.URL.EscapedPath()), "%2f") {
			t.Errorf("%q is answered", r.URL.EscapedPath())
		}
		for name := range r.Header {
			switch textproto.CanonicalMIMEHeaderKey(name) {
			case "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via", "Origin", "Sec-Fetch-Site":
				t.Errorf("a request with %s is answered", name)
			}
		}
		if sent := r.Header["X-Secret"]; path != "/" && (len(sent) != 1 || sent[0] != password) {
			t.Errorf("a request with the secrets %q is answered", sent)
		}
	})
}
