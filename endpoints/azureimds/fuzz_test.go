package azureimds_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/azuretoken/azuretokentest"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

// Whatever is asked, nothing panics, and who gets a token has kept all rules. They are written down
// here a second time, with the standard library's reader of queries.
func FuzzRequest(f *testing.F) {
	const query = "?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net"
	f.Add("GET", path+query, "Metadata: true")
	f.Add("GET", "/"+path+"/"+query+"&client_id=", "metadata: True")
	f.Add("GET", strings.ToUpper(path)+query+"&msi-res-id="+azuretokentest.SecondResourceID, "Metadata:\ttrue ")
	f.Add("GET", path+query+"&resource=r", "Metadata: true\r\nMetadata: true")
	f.Add("GET", path+"?resource=r&api-version=2017-09-01", "Metadata: true\r\nX-Forwarded-For:")
	f.Add("POST", path, "Metadata: true\r\nTransfer-Encoding: chunked")
	f.Add("GET", "/metadata/identity/getplatformmetadata", "Metadata: true")
	f.Add("HEAD", "/metadata%2Fidentity", "")
	server := endpointstest.Serve(f, outlet())
	f.Fuzz(func(t *testing.T, method, target, header string) {
		r, err := endpointstest.Read(t, method+" "+target+" HTTP/1.1\r\nHost: "+endpointstest.Address+"\r\n"+header+"\r\n\r\n")
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != http.StatusOK {
			if strings.Contains(body, "token of") {
				t.Errorf("status %d with a token: %s", w.Code, body)
			}
			return
		}
		if !json.Valid([]byte(body)) || !strings.HasPrefix(body, `{"access_token":"token of `) {
			t.Errorf("body = %s, want a token", body)
		}
		if r.Method != http.MethodGet {
			t.Errorf("%s is answered", r.Method)
		}
		if at := strings.ToLower("/" + strings.Trim(r.URL.Path, "/")); at != path {
			t.Errorf("the path %q is answered", r.URL.Path)
		}
		if sent := r.Header["Metadata"]; len(sent) != 1 || !strings.EqualFold(sent[0], "true") {
			t.Errorf("Metadata: %q is answered", sent)
		}
		for _, field := range []string{"X-Forwarded-For", "Forwarded", "Via", "Origin", "Sec-Fetch-Site"} {
			if r.Header[field] != nil {
				t.Errorf("a request with %s is answered", field)
			}
		}
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			t.Errorf("the query %q is answered: %v", r.URL.RawQuery, err)
		}
		if version := values.Get("api-version"); len(version) != len("2018-02-01") || version < "2018-02-01" {
			t.Errorf("the version %q is answered", version)
		}
		for name, all := range values {
			if len(all) > 1 {
				t.Errorf("the parameter %q is answered %d times", name, len(all))
			}
		}
	})
}
