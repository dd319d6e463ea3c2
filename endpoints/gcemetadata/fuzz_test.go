package gcemetadata_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// Any path and query: no panic, always the flavor, JSON that is some, redirects that stay here, and a
// token only where tokens are.
func FuzzTree(f *testing.F) {
	f.Add("/", "")
	f.Add("/computeMetadata/v1/instance", "recursive=true")
	f.Add("/computeMetadata/v1/", "recursive=TRUE&alt=text")
	f.Add("/computeMetadata/v1/project/numeric-project-id", "alt=json")
	f.Add(accounts+"default/token", "scopes=a,b")
	f.Add(accounts+"default/identity", "audience=https://x/y?z;w")
	f.Add(accounts+"default/identity", "audience=%0a")
	f.Add("//computeMetadata/v1/instance/service-accounts/"+email, "a=b&c")
	f.Add("/computeMetadata/v1/../x", "wait_for_change=true&timeout_sec=x")

	s := newServer(f, full(fresh))
	f.Fuzz(func(t *testing.T, path, query string) {
		if strings.Contains(strings.ToLower(query), "wait_for_change") {
			query = strings.ReplaceAll(query, "=", "") // this is not about waiting
		}
		r := request(http.MethodGet, "/")
		r.URL.Path, r.URL.RawQuery = path, query
		w := serve(s, r)
		text := w.Body.String()
		inside := strings.HasPrefix("/"+strings.TrimLeft(path, "/"), "/computeMetadata/")
		if inside && w.Header().Get("Metadata-Flavor") != "Google" {
			t.Errorf("%q: %d without the flavor", path, w.Code)
		}
		if w.Header().Get("Content-Type") == endpoints.JSON && !json.Valid([]byte(text)) {
			t.Errorf("%q?%q: %q is no JSON", path, query, text)
		}
		if to := w.Header().Get("Location"); to != "" && !strings.HasPrefix(to, "/computeMetadata") {
			t.Errorf("%q: a redirect to %q", path, to)
		}
		if strings.Contains(text, "ya29.") && !strings.HasSuffix(path, "/token") {
			t.Errorf("%q?%q answers with a token", path, query)
		}
		if strings.HasSuffix(path, "/identity") && w.Code == http.StatusOK && strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%q: control characters in an audience: %q", query, text)
		}
	})
}
