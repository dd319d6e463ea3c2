package conformance_test

import (
	"net/http"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// documentRows are about the document itself: its token is good, and in a file.
var documentRows = []row{
	{name: "document: the least that there can be", want: gets(federated)},
	{
		name: "document: as gcloud writes it", environ: true,
		set:  (*stage).asWritten,
		want: gets(federated),
	},
	{
		name: "document: as gcloud writes it, with a service account", environ: true,
		set:  both((*stage).asWritten, account(reports)),
		want: gets(impersonated),
	},
	{
		name: "document: no token_url", environ: true,
		set:  both((*stage).asWritten, with("token_url", nil)),
		want: gets(federated),
	},
	{
		name: "document: members that nobody knows",
		set:  with("token_info_url", "https://sts.googleapis.com/v1/introspect", "comment", 7),
		want: gets(federated),
	},
	{name: "document: another universe_domain", set: with("universe_domain", "universe.example"), want: gets(federated)},
	{name: "document: type missing", set: with("type", nil), want: rejects("type: ")},
	{name: "document: type of a key", set: with("type", "service_account"), want: rejects("holds no key")},
	{name: "document: not JSON", set: func(s *stage) { s.raw = "{" }, want: rejects("is not a JSON object")},
	{name: "document: audience missing", set: with("audience", nil), want: rejects("audience: is required")},
	{
		name: "document: audience with https:", set: with("audience", "https://iam.googleapis.com/"+provider("kubernetes")),
		want: refuses("400 invalid_request", `Invalid value for "audience"`, refresher.Denied), wisp: rejects("audience: starts with https:"),
		differs: becauseForeseen,
	},
	{
		name: "document: audience with a project's id",
		set:  with("audience", "//iam.googleapis.com/"+strings.Replace(provider("kubernetes"), "123456789", "shop-prod", 1)),
		want: refuses("400 invalid_request", `Invalid value for "audience"`, refresher.Denied), wisp: rejects("audience: "),
		differs: becauseForeseen,
	},
	{
		name: "document: unknown provider", set: func(s *stage) { s.asks("unknown") },
		want: refuses("400 invalid_target", "disabled or deleted", refresher.Settling),
	},
	{
		name: "document: disabled provider", set: func(s *stage) { s.asks("disabled") },
		want: refuses("400 invalid_target", "disabled or deleted", refresher.Settling),
	},
	{
		name: "document: subject_token_type missing", set: with("subject_token_type", nil),
		want: rejects("subject_token_type: is required"),
	},
	{
		name: "document: subject_token_type that Google does not take",
		set:  with("subject_token_type", refresher.TypeAccessToken),
		want: refuses("400 invalid_request", `Invalid value for "subject_token_type"`, refresher.Denied), wisp: rejects("subjectTokenType"),
		differs: becauseForeseen,
	},
	{
		name: "document: subject_token_type of another provider",
		set:  both(func(s *stage) { s.asks("saml") }, with("subject_token_type", refresher.TypeIDToken)),
		want: refuses("400 invalid_request", "does not take this type", refresher.Denied),
	},
	{
		name: "document: token_url over http, on the network", set: with("token_url", "http://sts.example/v1/token"),
		want: gets(federated), wisp: rejects("tokenUrl"),
		differs: becauseUnsafe,
	},
	{
		name: "document: token_url of somebody else", set: with("token_url", "https://collector.example/v1/token"),
		want: gets(federated), wisp: rejects("tokenUrl"),
		differs: becauseUnsafe,
	},
	{
		name: "document: token_url that redirects", set: func(s *stage) {
			s.document["token_url"] = s.door.URL + "/moved"
			s.door.subject = http.RedirectHandler("/v1/token", http.StatusTemporaryRedirect).ServeHTTP
		},
		want: gets(federated), wisp: lacks(refresher.Denied, "redirect"),
		differs: becauseRedirect,
	},
	{
		name: "document: credential_source missing", set: with("credential_source", nil),
		want: rejects("credential_source: is required"),
	},
	{
		name: "document: credential_source of no known kind", set: func(s *stage) { s.gives("pipe", "/run/token") },
		want: rejects("credential_source: is required"),
	},
	{name: "document: credential_source of a certificate that is not there", set: func(s *stage) {
		s.gives("certificate", map[string]string{"certificate_config_location": s.dir + "/none"})
	}, want: rejects("credential_source.certificate: is not supported")},
	{
		name: "document: file and url",
		set:  func(s *stage) { s.gives("file", s.file("token", s.good()), "url", s.door.URL+"/subject") },
		want: gets(federated), wisp: rejects("credential_source: has file and url"),
		differs: becauseAmbiguous,
	},
	{
		name: "document: file and executable", set: func(s *stage) {
			s.gives("file", s.file("token", s.good()), "executable", map[string]any{"command": "/bin/false"})
		},
		want: gets(federated), wisp: rejects("credential_source: has file and executable"), differs: becauseAmbiguous,
	},
	{
		name: "document: token_lifetime_seconds without a service account",
		set:  with("service_account_impersonation", map[string]int{"token_lifetime_seconds": 1800}),
		want: gets(federated), wisp: rejects("service_account_impersonation: has no effect"),
		differs: "wisp tells that the setting does nothing",
	},
	{
		name: "document: client_id without client_secret", set: with("client_id", appClient),
		want: gets(federated), wisp: rejects("client_id: goes together with client_secret"),
		differs: "wisp tells that the setting does nothing; libraries then authenticate nobody",
	},
	{
		name: "document: client_id and client_secret", set: with("client_id", appClient, "client_secret", appSecret),
		want: gets(federated),
	},
	{
		name: "document: wrong client_secret", set: with("client_id", appClient, "client_secret", "another"),
		want: refuses("401 invalid_client", "not found", refresher.Denied),
	},
	{
		name: "document: scope of one API", set: func(s *stage) { s.scopes = []string{storage} }, want: gets(federated),
		also: func(s *stage, g grant) { s.scoped(g, storage) },
	},
	{
		name: "document: scope that is none", set: func(s *stage) { s.scopes = []string{"cloud-platform"} },
		want: refuses("400 invalid_scope", "Invalid OAuth scope", refresher.Denied),
	},
	{
		name: "document: no scope asked for", set: func(s *stage) { s.scopes = nil },
		want: refuses("400 invalid_scope", "Invalid OAuth scope", refresher.Denied), wisp: gets(federated),
		differs: "wisp's default is cloud-platform, libraries have none",
	},
}

const storage = "https://www.googleapis.com/auth/devstorage.read_only"
