package conformance_test

import (
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// jwtRows are about the token, each of which is good but for one thing, now.
func jwtRows() []row {
	return []row{
		{name: "JWT: signed with ES256", set: shows(cloudtest.TokenOptions{Algorithm: "ES256"}), want: gets(federated)},
		{name: "JWT: without kid", set: shows(cloudtest.TokenOptions{OmitKeyID: true}), want: gets(federated)},
		{name: "JWT: called an ID token", set: with("subject_token_type", refresher.TypeIDToken), want: gets(federated)},
		{
			name: "JWT: the audience without https:", set: shows(audience("//iam.googleapis.com/" + provider("kubernetes"))),
			want: gets(federated),
		},
		{
			name: "JWT: the audience among others",
			set:  shows(audience("a", "https://iam.googleapis.com/"+provider("kubernetes"))),
			want: gets(federated),
		},
		{name: "JWT: an audience that the provider lists", set: both(shows(audience("shop")), toProvider("custom")), want: gets(federated)},
		{
			name: "JWT: the usual audience where others are listed",
			set:  both(shows(audience("https://iam.googleapis.com/"+provider("custom"))), toProvider("custom")),
			want: refusesUse("audience"),
		},
		{name: "JWT: another audience", set: shows(audience("sts.amazonaws.com")), want: refusesUse("audience")},
		{name: "JWT: no audience", set: claims("aud", nil), want: refusesToken("claim aud is missing")},
		{name: "JWT: another issuer", set: claims("iss", "https://other.example"), want: refusesToken("issuer")},
		{name: "JWT: no subject", set: claims("sub", nil), want: refusesToken("claim sub is missing")},
		{
			name: "JWT: a subject of 128 bytes", set: claims("sub", strings.Repeat("s", 128)),
			want: refuses("400 invalid_request", "google.subject exceeds", refresher.Denied),
		},
		{name: "JWT: expired", set: shows(cloudtest.TokenOptions{Issued: ago(2 * time.Hour)}), want: refusesToken("stale")},
		{
			name: "JWT: without exp", set: claims("exp", nil),
			want: refusesToken("claim exp is missing"), wisp: notAToken,
			differs: "wisp plans by the end of the token, and no cloud takes one without",
		},
		{name: "JWT: without iat", set: claims("iat", nil), want: refusesToken("claim iat is missing")},
		{
			name: "JWT: from the future", set: shows(cloudtest.TokenOptions{Issued: ago(-10 * time.Minute)}),
			want: refusesToken("in the future"),
		},
		{name: "JWT: for 24 hours", set: shows(cloudtest.TokenOptions{Lifetime: 24 * time.Hour}), want: gets(federated)},
		{
			name: "JWT: for 25 hours", set: shows(cloudtest.TokenOptions{Lifetime: 25 * time.Hour}),
			want: refusesToken("lives for 25h"),
		},
		{name: "JWT: unknown kid", set: shows(cloudtest.TokenOptions{KeyID: "unknown"}), want: refusesToken("no key")},
		{name: "JWT: signed by somebody else", set: shows(cloudtest.TokenOptions{WrongKey: true}), want: refusesToken("signature")},
		{
			name: "JWT: signed with HS256 and the public key", set: shows(cloudtest.TokenOptions{Algorithm: "HS256"}),
			want: refusesToken("HS256"),
		},
		{name: "JWT: signed with RS384", set: shows(cloudtest.TokenOptions{Algorithm: "RS384"}), want: refusesToken("RS384")},
		{name: "JWT: signed with PS256", set: shows(cloudtest.TokenOptions{Algorithm: "PS256"}), want: refusesToken("PS256")},
		{
			name: "JWT: unsigned", set: shows(cloudtest.TokenOptions{Algorithm: "none"}),
			want: refusesToken("none"), wisp: notAToken,
			differs: becauseNoToken,
		},
		{
			name: "JWT: the issuer does not answer", set: toProvider("down"),
			want: refuses("400 invalid_grant", "Error connecting to the given credential's issuer", refresher.Transient),
		},
		{
			name: "JWT: the attribute condition",
			set:  both(shows(audience("https://iam.googleapis.com/"+provider("picky"))), toProvider("picky")),
			want: refuses("400 unauthorized_client", "attribute condition", refresher.Settling),
		},
	}
}

func shows(o cloudtest.TokenOptions) func(*stage) { return func(s *stage) { s.holds(s.mint(o)) } }

func claims(name string, value any) func(*stage) {
	return shows(cloudtest.TokenOptions{Claims: map[string]any{name: value}})
}

func audience(names ...string) cloudtest.TokenOptions { return cloudtest.TokenOptions{Audience: names} }

func toProvider(name string) func(*stage) { return func(s *stage) { s.asks(name) } }

func ago(d time.Duration) time.Time { return time.Now().Add(-d) }
