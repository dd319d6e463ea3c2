package imds_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

// A lifetime is what strconv would write for 1 to 21600, and nothing else.
func FuzzTTL(f *testing.F) {
	for _, ttl := range []string{"1", "21600", "21601", "0", "", "-1", "+5", "1e3", "007", "99999999999999999999", "60 ", "\u0661"} {
		f.Add(ttl)
	}
	x := newOutlet(f, full(nil))
	f.Fuzz(func(t *testing.T, ttl string) {
		r := endpointstest.Request(t, "PUT /latest/api/token HTTP/1.1")
		r.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl)
		w := httptest.NewRecorder()
		x.ServeHTTP(w, r)
		n, err := strconv.Atoi(ttl)
		good := err == nil && n >= 1 && n <= 21600 && strconv.Itoa(n) == ttl
		if got := w.Code == http.StatusOK; got != good || !good && w.Code != http.StatusBadRequest {
			t.Errorf("lifetime %q: %d, good = %v", ttl, w.Code, good)
		}
		if echo := w.Header().Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"); good && echo != ttl {
			t.Errorf("lifetime %q: echo %q", ttl, echo)
		}
	})
}

// Only what was given out is a token.
func FuzzToken(f *testing.F) {
	x := newOutlet(f, full(endpointstest.YieldDefault(credential)))
	for _, token := range []string{x.token, "", "x", x.token[:len(x.token)-1], x.token + "=", x.token + "\n", strings.Repeat("A", len(x.token)), "\xff"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		r := endpointstest.Request(t, "GET "+roles+role+" HTTP/1.1")
		r.Header.Set("X-Aws-Ec2-Metadata-Token", token)
		w := httptest.NewRecorder()
		x.ServeHTTP(w, r)
		if served := w.Code == http.StatusOK; served != (token == x.token) || !served && w.Code != http.StatusUnauthorized {
			t.Errorf("token %q: %d", token, w.Code)
		}
	})
}

// Any path: no panic, no redirect, JSON that is some, the key at the role's path only, and nothing
// below /latest/ without a token.
func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"/", "/latest", "/latest/", "//latest/meta-data", roles, roles + role, roles + role + "/", roles + "other", document,
		"/latest/../latest/", "/latest/meta-data\x00", "/LATEST/meta-data/", "latest/api/token", "*", "",
	} {
		f.Add(path)
	}
	x := newOutlet(f, full(endpointstest.YieldDefault(credential)))
	f.Fuzz(func(t *testing.T, path string) {
		ask := func(token string) *httptest.ResponseRecorder {
			r := endpointstest.Request(t, "GET / HTTP/1.1")
			r.URL.Path = path
			if token != "" {
				r.Header.Set("X-Aws-Ec2-Metadata-Token", token)
			}
			w := httptest.NewRecorder()
			x.ServeHTTP(w, r)
			return w
		}
		w := ask(x.token)
		text, bare := w.Body.String(), "/"+strings.Trim(path, "/")
		if w.Header().Get("Location") != "" {
			t.Errorf("%q: a redirect", path)
		}
		if w.Header().Get("Content-Type") == endpoints.JSON && !json.Valid([]byte(text)) {
			t.Errorf("%q: %q is no JSON", path, text)
		}
		if strings.Contains(text, secret) && bare != roles+role {
			t.Errorf("%q answers with the key", path)
		}
		if w := ask(""); w.Code == http.StatusOK || strings.HasPrefix(bare+"/", "/latest/") && w.Code != http.StatusUnauthorized && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%q without a token: %d", path, w.Code)
		}
	})
}
