package conformance_test

import (
	"fmt"
	"net/http"

	"github.com/wisp-sidecar/wisp/refresher"
)

// urlRows are about tokens that somebody gives in answer to a GET.
var urlRows = []row{
	{name: "URL: text", set: func(s *stage) { s.answers(200, s.good()) }, want: gets(federated)},
	{
		name: "URL: text, for a service account", set: both(account(reports), func(s *stage) { s.answers(200, s.good()) }),
		want: gets(impersonated),
	},
	{name: "URL: JSON", set: func(s *stage) {
		s.answers(200, s.json(map[string]any{"access_token": s.good(), "expires_in": 3600}), "format", format("json", "access_token"))
	}, want: gets(federated)},
	{name: "URL: with a query and headers", set: func(s *stage) {
		s.secret("Metadata", "True", "X-Secret", "open sesame")
	}, want: gets(federated)},
	{
		name: "URL: without the header", set: func(s *stage) { s.secret("Metadata", "True") },
		want: lacks(refresher.Settling, refresher.CodeSubjectMissing),
	},
	{name: "URL: 201", set: func(s *stage) { s.answers(201, s.good()) }, want: gets(federated)},
	{
		name: "URL: 404", set: func(s *stage) { s.answers(404, "not found") },
		want: lacks(refresher.Settling, refresher.CodeSubjectMissing),
	},
	{
		name: "URL: 429", set: func(s *stage) { s.answers(429, "slow down") },
		want: lacks(refresher.Throttled, refresher.CodeSubjectMissing),
	},
	{
		name: "URL: 500", set: func(s *stage) { s.answers(500, "oh") },
		want: lacks(refresher.Transient, refresher.CodeSubjectMissing),
	},
	{name: "URL: nobody answers", set: func(s *stage) {
		s.gives("url", s.door.URL+"/subject")
		s.door.subject = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	}, want: lacks(refresher.Transient, "")},
	{
		name: "URL: a redirect", set: func(s *stage) {
			s.answers(200, s.good())
			there := s.door.subject
			s.door.subject = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/subject" {
					http.Redirect(w, r, "/elsewhere", http.StatusFound)
					return
				}
				there(w, r)
			}
		},
		want: gets(federated), wisp: lacks(refresher.Denied, "redirect"),
		differs: becauseRedirect,
	},
	{
		name: "URL: over http, on the network", set: func(s *stage) {
			s.answers(200, s.good())
			s.gives("url", "http://tokens.example/subject")
		},
		want: gets(federated), wisp: rejects("url"),
		differs: becauseUnsafe,
	},
	{
		name: "URL: text with a line feed", set: func(s *stage) { s.answers(200, s.good()+"\n") },
		want: refusesToken("Unable to parse"), wisp: gets(federated),
		differs: "wisp removes white space around tokens; libraries for Go do so for files alone",
	},
	{
		name: "URL: nothing", set: func(s *stage) { s.answers(200, "") },
		want: refuses("400 invalid_request", "subject_token", refresher.Denied), wisp: notAToken,
		differs: becauseNoToken,
	},
	{
		name: "URL: JSON where text is expected",
		set:  func(s *stage) { s.answers(200, s.json(map[string]any{"access_token": s.good()})) },
		want: refusesToken("Unable to parse"), wisp: notAToken,
		differs: becauseNoToken,
	},
	{
		name: "URL: text where JSON is expected",
		set:  func(s *stage) { s.answers(200, s.good(), "format", format("json", "access_token")) },
		want: notAToken,
	},
	{name: "URL: JSON without the field", set: func(s *stage) {
		s.answers(200, s.json(map[string]any{"error": "no"}), "format", format("json", "access_token"))
	}, want: notAToken},
	{name: "URL: JSON with null in the field", set: func(s *stage) {
		s.answers(200, `{"access_token":null}`, "format", format("json", "access_token"))
	}, want: notAToken},
	{
		name: "URL: JSON without a field's name", set: func(s *stage) { s.answers(200, "{}", "format", format("json", "")) },
		want: rejects("subject_token_field_name: is required"),
	},
}

// answers has the URL answer so, and adds to credential_source.
func (s *stage) answers(status int, text string, pairs ...any) {
	s.door.subject = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, text)
	}
	s.gives(append(pairs, "url", s.door.URL+"/subject")...)
}

// secret has the URL answer only who knows a secret and a query, and configures headers.
func (s *stage) secret(headers ...string) {
	configured := map[string]string{}
	for n := 0; n < len(headers); n += 2 {
		configured[headers[n]] = headers[n+1]
	}
	good := s.good()
	s.door.subject = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Secret") != "open sesame" || r.Header.Get("Metadata") != "True" || r.URL.Query().Get("resource") != "api://shop" {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprint(w, good)
	}
	s.gives("url", s.door.URL+"/subject?resource=api%3A%2F%2Fshop", "headers", configured)
}
