package gcemetadata_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/endpoints/gcemetadata"
)

// Requests as they stand on the wire, odd ones too. Whatever form a path has, the header is demanded.
func TestRequests(t *testing.T) {
	const (
		project = "/computeMetadata/v1/project/project-id"
		token   = "/computeMetadata/v1/instance/service-accounts/default/token"
		encoded = "/computeMetadata/v1/instance/service-accounts/app%40sample-project.iam.gserviceaccount.com/"
		flavor  = "\nMetadata-Flavor: Google"
	)
	tests := []struct {
		name, request string
		want          int
	}{
		{"HEAD of a value", "HEAD " + project + " HTTP/1.1" + flavor, 200},
		{"HEAD of a token", "HEAD " + token + " HTTP/1.1" + flavor, 200},
		{"HEAD of a listing", "HEAD /computeMetadata/v1/ HTTP/1.1" + flavor, 200},
		{"HEAD of a directory without its slash", "HEAD /computeMetadata/v1/instance HTTP/1.1" + flavor, 301},
		{"HEAD of the root, as a ping", "HEAD / HTTP/1.1", 200},
		{"HEAD without the header", "HEAD " + token + " HTTP/1.1", 403},
		{"HTTP/1.0", "GET " + project + " HTTP/1.0" + flavor, 200},
		{"HTTP/1.0, kept alive", "GET " + project + " HTTP/1.0\nConnection: keep-alive" + flavor, 200},
		{"HTTP/1.0 without the header", "GET " + token + " HTTP/1.0", 403},
		{"the header in lower case", "GET " + project + " HTTP/1.1\nmetadata-flavor: Google", 200},
		{"the header's value in lower case", "GET " + project + " HTTP/1.1\nMetadata-Flavor: google", 403},
		{"the well-known name", "GET " + project + " HTTP/1.1\nHost: metadata.google.internal" + flavor, 200},
		{"the well-known name with a final dot", "GET " + project + " HTTP/1.1\nHost: metadata.google.internal." + flavor, 200},
		{"the well-known address", "GET " + project + " HTTP/1.1\nHost: 169.254.169.254" + flavor, 200},
		{"an absolute target", "GET http://metadata.google.internal" + project + " HTTP/1.1" + flavor, 200},
		{"an absolute target with a port", "GET http://127.0.0.1:9911" + project + " HTTP/1.1" + flavor, 200},
		{"an absolute target, as to a proxy, without the header", "GET http://metadata.google.internal" + token + " HTTP/1.1", 403},
		{"an absolute target of somebody else", "GET http://attacker.example" + token + " HTTP/1.1\nHost: 127.0.0.1:9911" + flavor, 403},
		{"two slashes at the start", "GET /" + project + " HTTP/1.1" + flavor, 200},
		{"two slashes at the start, without the header", "GET /" + token + " HTTP/1.1", 403},
		{"an encoded letter", "GET /%63omputeMetadata/v1/project/project-id HTTP/1.1" + flavor, 200},
		{"an encoded letter, without the header", "GET /%63omputeMetadata/v1/instance/service-accounts/default/token HTTP/1.1", 403},
		{"a step up", "GET /computeMetadata/v1/../v1/project/project-id HTTP/1.1" + flavor, 404},
		{"a step up, without the header", "GET /computeMetadata/v1/../v1/instance/service-accounts/default/token HTTP/1.1", 403},
		{"a step up from elsewhere, without the header", "GET /x/.." + token + " HTTP/1.1", 404},
		{"an encoded slash", "GET /computeMetadata%2fv1/project/project-id HTTP/1.1" + flavor, 404},
		{"an account by its encoded e-mail", "GET " + encoded + "email HTTP/1.1" + flavor, 200},
		{"a token by the encoded e-mail", "GET " + encoded + "token HTTP/1.1" + flavor, 200},
		{"an ID token by the encoded e-mail", "GET " + encoded + "identity?audience=a&format=full&licenses=true HTTP/1.1" + flavor, 200},
		{"a directory by the encoded e-mail", "GET " + encoded + "?recursive=True HTTP/1.1" + flavor, 200},
		{"parameters that nobody knows", "GET " + project + "?a=b&c&%zz HTTP/1.1" + flavor, 200},
		{"mutual TLS is asked for", "GET " + token + "?transport=mtls&binding-enforcement=on HTTP/1.1" + flavor, 200},
		{"an empty body that is announced", "GET " + project + " HTTP/1.1\nContent-Length: 0" + flavor, 200},
		{"a small body", "GET " + project + " HTTP/1.1" + flavor + "\n\n{}", 200},
		{"Node's fetch", "GET " + project + " HTTP/1.1\nSec-Fetch-Mode: cors\nAccept-Language: *" + flavor, 200},
		{"a form of a web page", "GET " + project + " HTTP/1.1\nSec-Fetch-Site: cross-site" + flavor, 403},
		{"POST", "POST " + token + " HTTP/1.1" + flavor, 405},
		{"PUT", "PUT " + project + " HTTP/1.1" + flavor, 405},
		{"PATCH", "PATCH " + project + " HTTP/1.1" + flavor, 405},
		{"DELETE", "DELETE " + project + " HTTP/1.1" + flavor, 405},
		{"OPTIONS", "OPTIONS " + project + " HTTP/1.1" + flavor, 405},
		{"TRACE", "TRACE " + project + " HTTP/1.1" + flavor, 405},
		{"POST of the root", "POST / HTTP/1.1" + flavor, 405},
		{"PUT of a directory", "PUT /computeMetadata/v1/instance/attributes/ HTTP/1.1" + flavor, 405},
		{"the token of another service's IMDSv2", "PUT /latest/api/token HTTP/1.1" + flavor, 404},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := endpointstest.Ask(t, gcemetadata.New(full(fresh)), test.request)
			if got.StatusCode != test.want {
				t.Errorf("%q = %d, want %d", test.request, got.StatusCode, test.want)
			}
			if leaks := strings.Contains(endpointstest.Body(t, got), "ya29."); leaks && test.want != http.StatusOK {
				t.Errorf("%q = %d with the token", test.request, got.StatusCode)
			}
		})
	}
}

// HEAD says what GET would.
func TestHeadIsGetWithoutABody(t *testing.T) {
	o := full(fresh)
	s := newServer(t, o)
	for path := range gcemetadata.New(o).Routes {
		want, got := get(s, path), serve(s, request(http.MethodHead, path))
		if got.Code != want.Code {
			t.Errorf("HEAD %s = %d, GET %d", path, got.Code, want.Code)
		}
		for _, field := range []string{"Content-Type", "Content-Length", "ETag", "Location", "Metadata-Flavor"} {
			if got, want := got.Header().Get(field), want.Header().Get(field); got != want {
				t.Errorf("HEAD %s: %s = %q, with GET %q", path, field, got, want)
			}
		}
	}
}

// X-Forwarded-For is refused on every path, whatever its value, the open root included.
func TestForwardedRequestsAreRefusedEverywhere(t *testing.T) {
	o := full(fresh)
	s := newServer(t, o)
	for path := range gcemetadata.New(o).Routes {
		for _, value := range []string{"", "127.0.0.1", "unknown"} {
			r := request(http.MethodGet, path)
			r.Header["X-Forwarded-For"] = []string{value}
			if w := serve(s, r); w.Code != http.StatusForbidden {
				t.Errorf("GET %s with X-Forwarded-For: %q = %d, want 403", path, value, w.Code)
			}
		}
	}
}

// Values have no line's end, lines of listings each have one, and media types have no parameters.
func TestEveryValueIsBare(t *testing.T) {
	o := full(fresh)
	s := newServer(t, o)
	for path := range gcemetadata.New(o).Routes {
		for query, want := range map[string]string{"": "application/text", "?alt=json": "application/json", "?recursive=true": ""} {
			w := get(s, path+query)
			if w.Code != http.StatusOK {
				continue // redirects, and identities without an audience
			}
			kind, body := w.Header().Get("Content-Type"), w.Body.String()
			switch {
			case strings.HasSuffix(path, "/token"), path == "/":
				continue // the one is always JSON, the other never
			case want != "" && kind != want, strings.Contains(kind, ";"):
				t.Errorf("GET %s%s is %s, want %s", path, query, kind, want)
			}
			lines := kind != "application/json" && (strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/scopes") || strings.HasSuffix(path, "/aliases"))
			if got := strings.HasSuffix(body, "\n"); got != (lines && body != "") {
				t.Errorf("GET %s%s = %q, ends a line: %v, want %v", path, query, body, got, lines)
			}
		}
	}
}

// FuzzWaitForChange: whatever the parameters are, the wait is over after a minute.
func FuzzWaitForChange(f *testing.F) {
	f.Add("true", "5", "0")
	f.Add("TRUE", "", "x")
	f.Add("true", "-1", "")
	f.Add("true", "18446744073709551616", "")
	f.Add("true", "0x10", "&last_etag=")
	f.Add("t%72ue", "1e3", "\x00")
	f.Fuzz(func(t *testing.T, wait, timeout, etag string) {
		synctest.Test(t, func(t *testing.T) {
			r := request(http.MethodGet, leaf)
			r.URL.RawQuery = "wait_for_change=" + wait + "&timeout_sec=" + timeout + "&last_etag=" + etag
			start := time.Now()
			w := serve(newServer(t, full(fresh)), r)
			if after := time.Since(start); after > time.Minute || after%time.Second != 0 {
				t.Errorf("?%s: an answer after %v", r.URL.RawQuery, after)
			}
			if w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
				t.Errorf("?%s: %d", r.URL.RawQuery, w.Code)
			}
		})
	})
}
