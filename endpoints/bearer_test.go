package endpoints_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

const bearerSecret = "Zm9yIHRlc3RzIG9ubHk"

// guarded shows something to whoever knows the secret.
func guarded(secret refresher.Secret) *endpoints.Protocol {
	return &endpoints.Protocol{
		Name: "guarded",
		Routes: endpoints.Routes{"/": {Methods: endpoints.Read, Handler: func(w http.ResponseWriter, _ *http.Request) *endpoints.Refusal {
			endpoints.Reply(w, http.StatusOK, endpoints.Text, []byte(treasure))
			return nil
		}}},
		Single: []string{endpoints.BearerField},
		Guard:  endpoints.BearerGuard(secret),
		Refuse: endpoints.RefuseOAuth,
	}
}

func TestBearerGuard(t *testing.T) {
	const anonymous, wrong = 401, 403
	tests := []struct {
		name   string
		secret refresher.Secret
		sent   []string
		want   int
	}{
		{"right", bearerSecret, []string{"Bearer " + bearerSecret}, 200},
		{"the scheme in lower case", bearerSecret, []string{"bearer " + bearerSecret}, 200},
		{"none", bearerSecret, nil, anonymous},
		{"empty", bearerSecret, []string{""}, anonymous},
		{"no scheme", bearerSecret, []string{bearerSecret}, wrong},
		{"another scheme", bearerSecret, []string{"Basic " + bearerSecret}, wrong},
		{"the scheme alone", bearerSecret, []string{"Bearer"}, wrong},
		{"the scheme twice", bearerSecret, []string{"Bearer Bearer " + bearerSecret}, wrong},
		{"two spaces", bearerSecret, []string{"Bearer  " + bearerSecret}, wrong},
		{"another secret", bearerSecret, []string{"Bearer x"}, wrong},
		{"its beginning", bearerSecret, []string{"Bearer " + bearerSecret[:10]}, wrong},
		{"its end", bearerSecret, []string{"Bearer " + bearerSecret[1:]}, wrong},
		{"in another case", bearerSecret, []string{"Bearer " + strings.ToLower(bearerSecret)}, wrong},
		{"with a line's end", bearerSecret, []string{"Bearer " + bearerSecret + "\n"}, wrong},
		{"what a Secret prints", bearerSecret, []string{"Bearer " + refresher.Redacted}, wrong},
		{"twice", bearerSecret, []string{"Bearer " + bearerSecret, "Bearer " + bearerSecret}, 400},
		{"there is no secret", "", []string{"Bearer "}, wrong},
		{"there is no secret, and none is sent", "", nil, anonymous},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD"} {
				r := endpointstest.Request(t, method+" / HTTP/1.1\n\n")
				if test.sent != nil {
					r.Header[endpoints.BearerField] = test.sent
				}
				answer := ask(t, newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{guarded(test.secret)}}), r)
				if answer.StatusCode != test.want {
					t.Errorf("%s = %d, want %d", method, answer.StatusCode, test.want)
				}
				if shown := strings.Contains(endpointstest.Body(t, answer), treasure); shown != (test.want == 200) {
					t.Errorf("%s = %d, and the treasure is shown: %v", method, answer.StatusCode, shown)
				}
				if got, want := answer.Header.Get("WWW-Authenticate"), map[bool]string{true: "Bearer"}[test.want == anonymous]; got != want {
					t.Errorf("%s = %d with WWW-Authenticate %q, want %q", method, answer.StatusCode, got, want)
				}
			}
		})
	}
}

func FuzzBearerGuard(f *testing.F) {
	for _, sent := range []string{"Bearer " + bearerSecret, bearerSecret, "", "Bearer", "bearer\t" + bearerSecret, "BEARER " + bearerSecret + " ", "Bearer " + refresher.Redacted} {
		f.Add(sent)
	}
	guard := endpoints.BearerGuard(bearerSecret)
	f.Fuzz(func(t *testing.T, sent string) {
		r := &http.Request{Header: http.Header{endpoints.BearerField: {sent}}}
		passes := len(sent) == len("Bearer ")+len(bearerSecret) &&
			strings.EqualFold(sent[:len("Bearer ")], "Bearer ") && sent[len("Bearer "):] == bearerSecret
		if got := guard(r) == nil; got != passes {
			t.Errorf("Authorization %q: served = %v, want %v", sent, got, passes)
		}
	})
}

func TestRefuseOAuth(t *testing.T) {
	for reason, want := range map[endpoints.Reason]string{
		endpoints.BadRequest:    "400 invalid_request",
		endpoints.BadHost:       "403 forbidden",
		endpoints.Forwarded:     "403 forbidden",
		endpoints.Browser:       "403 forbidden",
		endpoints.NotFound:      "404 not_found",
		endpoints.BadMethod:     "405 method_not_allowed",
		endpoints.Unauthorized:  "401 invalid_token",
		endpoints.Forbidden:     "403 invalid_token",
		endpoints.TooLarge:      "413 invalid_request",
		endpoints.TooManyFields: "431 invalid_request",
		endpoints.NotAllowed:    "400 invalid_target",
		endpoints.NotReady:      "503 temporarily_unavailable",
		endpoints.Denied:        "503 access_denied",
		endpoints.Internal:      "500 server_error",
	} {
		w := httptest.NewRecorder()
		endpoints.RefuseOAuth(w, nil, endpoints.Refuse(reason, "the reason"))
		var body map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		got := w.Result().Status[:3] + " " + body["error"]
		if got != want || body["error_description"] != "the reason" || len(body) != 2 {
			t.Errorf("reason %d: %s %v, want %s", reason, got, body, want)
		}
		if retry := w.Header().Get("Retry-After"); (retry == "1") != (w.Code == 503) {
			t.Errorf("reason %d: Retry-After = %q", reason, retry)
		}
	}
}
