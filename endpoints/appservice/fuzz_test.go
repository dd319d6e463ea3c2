package appservice_test

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

// Whatever is asked, nothing panics, and who gets a token has kept all rules of one of the four
// forms. They are written down here a second time, with the standard library's reader of queries.
func FuzzRequest(f *testing.F) {
	f.Add("GET", path+"?api-version=2019-08-01&resource=r", "X-IDENTITY-HEADER: "+secret, "", true)
	f.Add("GET", path+"/?resource=https://x/&api-version=2017-09-01&clientid=", "secret: "+secret, "", false)
	f.Add("GET", path+"?api-version=2017-09-01&resource=r", "secret: "+secret+"\r\nsecret: "+secret, "", false)
	f.Add("GET", path+"?api-version=2017-09-01&resource=r&resource=s", "X-Identity-Header: "+secret, "x", true)
	f.Add("POST", path, "Metadata: true", "resource=https%3A%2F%2Fx&client_id="+azuretokentest.FirstClientID, true)
	f.Add("POST", "/"+path+"/?resource=r", "Metadata: True\r\nVia: x", "", true)
	f.Add("POST", path, "Metadata: true\r\nsecret: "+secret, "resource=r", false)
	f.Add("GET", path+"?resource=r&client_id="+azuretokentest.FirstClientID, "Metadata: true", "", true)
	f.Add("GET", path+"?resource=r", "Metadata: true", "", false)
	f.Add("GET", path+"?resource=r", "Metadata: true\r\nsecret: wrong", "", true)
	f.Add("HEAD", path+"%2f", "Origin: null", "", true)
	servers := map[bool]http.Handler{true: endpointstest.Serve(f, cloudShell(nil)), false: endpointstest.Serve(f, outlet())}
	f.Fuzz(func(t *testing.T, method, target, header, body string, shell bool) {
		r, err := endpointstest.Read(t, method+" "+target+" HTTP/1.1\r\nHost: "+endpointstest.Address+"\r\n"+header+"\r\n\r\n")
		if err != nil || r.ContentLength != 0 {
			return
		}
		r.Body, r.ContentLength = http.NoBody, 0
		if body != "" {
			counted := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Body, r.ContentLength = counted.Body, counted.ContentLength
		}
		w := httptest.NewRecorder()
		servers[shell].ServeHTTP(w, r)
		answer := w.Body.String()
		if w.Code != http.StatusOK {
			if strings.Contains(answer, "token of") {
				t.Errorf("status %d with a token: %s", w.Code, answer)
			}
			return
		}
		if !json.Valid([]byte(answer)) || !strings.HasPrefix(answer, `{"access_token":"token of `) {
			t.Errorf("body = %s, want a token", answer)
		}
		if at := "/" + strings.Trim(r.URL.Path, "/"); at != path {
			t.Errorf("the path %q is answered", r.URL.Path)
		}
		for _, field := range []string{"X-Forwarded-For", "Forwarded", "Via", "Origin", "Sec-Fetch-Site"} {
			if r.Header[field] != nil {
				t.Errorf("a request with %s is answered", field)
			}
		}
		// form is what the token was asked for by, proof what the caller had to send.
		form, proof, want := r.URL.RawQuery, []string(nil), secret
		switch r.Method {
		case http.MethodPost:
			form, proof, want = body, r.Header["Metadata"], "true"
			if !shell {
				t.Error("POST is answered")
			}
		case http.MethodGet:
			proof = r.Header["X-Identity-Header"]
			switch version := r.URL.Query().Get("api-version"); {
			case version == "2017-09-01":
				proof = r.Header["Secret"]
			case version == "" && shell: // Cloud Shell's form, as msal4j has it: who shows a secret means another one
				if r.Header.Get("X-Identity-Header") != "" || r.Header.Get("Secret") != "" {
					t.Errorf("%s with %v is answered", r.Method, r.Header)
				}
				proof, want = r.Header["Metadata"], "true"
			}
		default:
			t.Errorf("%s is answered", r.Method)
		}
		if len(proof) != 1 || proof[0] != want && !(want == "true" && strings.EqualFold(proof[0], want)) {
			t.Errorf("%s with %v is answered", r.Method, r.Header)
		}
		values, err := url.ParseQuery(form)
		if err != nil || len(values["resource"]) != 1 {
			t.Errorf("the query %q is answered: %v", form, err)
		}
	})
}
