package awscontainer_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/awscontainer"
)

func TestMethods(t *testing.T) {
	s := outlet(t, secret)
	for method, want := range map[string]int{
		"GET": 200, "HEAD": 200, "POST": 405, "PUT": 405, "PATCH": 405, "DELETE": 405, "OPTIONS": 405, "TRACE": 405, "CONNECT": 405, "get": 405,
	} {
		r := request("GET", "/aws/full", secret)
		r.Method = method
		w := serve(s, r)
		if allow := w.Header().Get("Allow"); w.Code != want || (allow == "GET, HEAD") != (want == 405) {
			t.Errorf("%s = %d, Allow %q, want %d", method, w.Code, allow, want)
		}
		if want != 200 && strings.Contains(w.Body.String(), "wJalr") {
			t.Errorf("%s: the key is in the answer", method)
		}
	}
}

func TestHosts(t *testing.T) {
	s := outlet(t, secret)
	for host, want := range map[string]int{
		address: 200, "127.0.0.1": 200, "localhost:9911": 200, "169.254.170.2": 200, "169.254.170.2:9911": 200,
		"": 400, "127.0.0.1:80": 403, "169.254.169.254": 403, "attacker.example": 403, "127.0.0.1.nip.io": 403, "localhost.": 403,
	} {
		r := request("GET", "/aws/full", secret)
		r.Host = host
		if w := serve(s, r); w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

// Some SDKs read only text, in keys of this case, and all need the first four.
func TestTheDocument(t *testing.T) {
	var members map[string]string
	if err := json.Unmarshal(serve(outlet(t, secret), request("GET", "/aws/full", secret)).Body.Bytes(), &members); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "Token": "IQoJb3JpZ2luX2VjEXAMPLE//token==",
		"Expiration": "2030-01-02T03:04:05Z", "AccountId": "123456789012", "RoleArn": "arn:aws:iam::123456789012:role/reports",
	}
	if diff := cmp.Diff(want, members); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
}

// The SDK for Go v2 reads the body of an error if its media type is this one to the letter, and then it
// has to be such an object.
func TestErrorBodies(t *testing.T) {
	p := awscontainer.New(awscontainer.Options{})
	for reason := endpoints.BadRequest; reason <= endpoints.Internal; reason++ {
		w := httptest.NewRecorder()
		p.Refuse(w, nil, endpoints.Refuse(reason, "why"))
		var body map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body["code"] == "" || body["message"] != "why" || len(body) != 2 {
			t.Errorf("reason %d: the body is %s, %v", reason, w.Body, err)
		}
		if kind := w.Header().Get("Content-Type"); kind != "application/json" || w.Code < 400 {
			t.Errorf("reason %d: status %d, %q", reason, w.Code, kind)
		}
	}
}
