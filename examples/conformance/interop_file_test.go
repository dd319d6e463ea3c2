package conformance_test

import (
	"encoding/json"
	"path/filepath"

	"github.com/wisp-sidecar/wisp/refresher"
)

// fileRows are about tokens in files.
var fileRows = []row{
	{name: "file: text", want: gets(federated)},
	{
		name: "file: text, and said so",
		set:  func(s *stage) { s.gives("file", s.file("token", s.good()), "format", format("text", "")) },
		want: gets(federated),
	},
	{name: "file: white space around it", set: func(s *stage) { s.holds(" " + s.good() + "\r\n") }, want: gets(federated)},
	{name: "file: a relative path", set: func(s *stage) {
		here, err := filepath.Abs(".")
		if err != nil {
			s.Fatal(err)
		}
		relative, err := filepath.Rel(here, s.file("token", s.good()))
		if err != nil {
			s.Fatal(err)
		}
		s.gives("file", relative)
	}, want: gets(federated)},
	{
		name: "file: JSON", set: func(s *stage) { s.holdsJSON(map[string]any{"id_token": s.good(), "other": 1}, "id_token") },
		want: gets(federated),
	},
	{
		name: "file: JSON without the field",
		set:  func(s *stage) { s.holdsJSON(map[string]any{"token": s.good()}, "id_token") },
		want: notAToken,
	},
	{
		name: "file: JSON with a number in the field",
		set:  func(s *stage) { s.holdsJSON(map[string]any{"id_token": 7}, "id_token") },
		want: notAToken,
	},
	{name: "file: JSON with the field elsewhere", set: func(s *stage) {
		s.holdsJSON(map[string]any{"status": map[string]any{"token": s.good()}}, "status.token")
	}, want: notAToken},
	{
		name: "file: JSON that is text",
		set:  func(s *stage) { s.gives("file", s.file("token", s.good()), "format", format("json", "id_token")) },
		want: notAToken,
	},
	{
		name: "file: JSON without a field's name",
		set:  func(s *stage) { s.holdsJSON(map[string]any{"id_token": s.good()}, "") },
		want: rejects("subject_token_field_name: is required"),
	},
	{
		name: "file: a format that nobody knows",
		set:  func(s *stage) { s.gives("file", s.file("token", s.good()), "format", format("xml", "")) },
		want: rejects("credential_source.format.type"),
	},
	{name: "file: missing", set: func(s *stage) { s.gives("file", s.dir+"/none") }, want: noToken},
	{name: "file: a directory", set: func(s *stage) { s.gives("file", s.dir) }, want: notAToken},
	{
		name: "file: empty", set: func(s *stage) { s.holds("") },
		want: refuses("400 invalid_request", "subject_token", refresher.Denied), wisp: notAToken,
		differs: becauseNoToken,
	},
	{
		name: "file: not a JWT", set: func(s *stage) { s.holds("changeme") },
		want: refusesToken("Unable to parse"), wisp: notAToken, differs: becauseNoToken,
	},
	{
		name: "file: a byte order mark before it", set: func(s *stage) { s.holds("\ufeff" + s.good()) },
		want: refusesToken("Unable to parse"), wisp: notAToken, differs: becauseNoToken,
	},
}

// holdsJSON puts an object into a file, of which a field is the token.
func (s *stage) holdsJSON(object map[string]any, field string) {
	s.gives("file", s.file("token", s.json(object)), "format", format("json", field))
}

func (s *stage) json(object any) string {
	text, err := json.Marshal(object)
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

func format(kind, field string) map[string]string {
	if field == "" {
		return map[string]string{"type": kind}
	}
	return map[string]string{"type": kind, "subject_token_field_name": field}
}
