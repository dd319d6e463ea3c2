package conformance_test

import (
	"regexp"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const samlMember = members + "reports"

// samlRows are about assertions in a file, each of which is good but for one thing, now.
func samlRows() []row {
	return []row{
		{name: "SAML: a Response with a signed Assertion", set: saml(cloudtest.SAMLTokenOptions{}), want: gets(samlMember)},
		{
			name: "SAML: for a service account", set: both(account(reports), saml(cloudtest.SAMLTokenOptions{})),
			want: gets(impersonated),
		},
		{
			name: "SAML: a signed Response", set: saml(cloudtest.SAMLTokenOptions{Signed: cloudtest.SAMLSignResponse}),
			want: gets(samlMember),
		},
		{name: "SAML: both signed", set: saml(cloudtest.SAMLTokenOptions{Signed: cloudtest.SAMLSignBoth}), want: gets(samlMember)},
		{name: "SAML: an Assertion alone", set: saml(cloudtest.SAMLTokenOptions{Bare: true}), want: gets(samlMember)},
		{
			name: "SAML: the audience without https:",
			set:  saml(cloudtest.SAMLTokenOptions{Audience: "//iam.googleapis.com/" + provider("saml")}),
			want: gets(samlMember),
		},
		{
			name: "SAML: issued 59 minutes ago",
			set:  saml(cloudtest.SAMLTokenOptions{Issued: ago(59 * time.Minute), Lifetime: 2 * time.Hour}),
			want: gets(samlMember),
		},
		{
			name: "SAML: white space around it",
			set:  both(samlDocument, func(s *stage) { s.holds(s.assertion(cloudtest.SAMLTokenOptions{}) + "\n") }),
			want: gets(samlMember),
		},
		{name: "SAML: in JSON from a URL", set: both(samlDocument, func(s *stage) {
			s.answers(200, s.json(map[string]string{"SAMLResponse": s.assertion(cloudtest.SAMLTokenOptions{})}), "format", format("json", "SAMLResponse"))
		}), want: gets(samlMember)},

		{
			name: "SAML: expired",
			set:  saml(cloudtest.SAMLTokenOptions{Issued: ago(50 * time.Minute), Lifetime: 40 * time.Minute}),
			want: refusesToken("has passed"),
		},
		{
			name: "SAML: issued 61 minutes ago",
			set:  saml(cloudtest.SAMLTokenOptions{Issued: ago(61 * time.Minute), Lifetime: 2 * time.Hour}),
			want: refusesToken("more than an hour ago"),
		},
		{
			name: "SAML: from the future", set: saml(cloudtest.SAMLTokenOptions{Issued: ago(-10 * time.Minute)}),
			want: refusesToken("in the future"),
		},
		{
			name: "SAML: another audience", set: saml(cloudtest.SAMLTokenOptions{Audience: "https://sp.example"}),
			want: refusesUse("AudienceRestriction"),
		},
		{
			name: "SAML: one audience more", set: saml(cloudtest.SAMLTokenOptions{Edit: restrictedTwice}),
			want: refusesUse("AudienceRestriction"),
		},
		{
			name: "SAML: another issuer", set: saml(cloudtest.SAMLTokenOptions{Issuer: "https://other.example"}),
			want: refusesToken("the Issuer is"),
		},
		{
			name: "SAML: unsigned", set: saml(cloudtest.SAMLTokenOptions{Signed: cloudtest.SAMLSignNothing}),
			want: refusesToken("signed"),
		},
		{
			name: "SAML: signed by somebody else", set: saml(cloudtest.SAMLTokenOptions{WrongKey: true}),
			want: refusesToken("Signature"),
		},
		{
			name: "SAML: changed after signing", set: saml(cloudtest.SAMLTokenOptions{Tampered: true}),
			want: refusesToken("Signature"),
		},
		{
			name: "SAML: the signed Assertion hidden in another", set: saml(cloudtest.SAMLTokenOptions{Wrapped: true}),
			want: refusesToken("not about the element that it is in"),
		},
		{
			name: "SAML: two Assertions", set: saml(cloudtest.SAMLTokenOptions{Assertions: 2}),
			want: refusesToken("exactly one Assertion"),
		},
		{
			name: "SAML: another confirmation than bearer",
			set:  saml(cloudtest.SAMLTokenOptions{Method: "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"}),
			want: refusesToken("SubjectConfirmation"),
		},
		{
			name: "SAML: a confirmation without an end", set: saml(cloudtest.SAMLTokenOptions{NoConfirmationEnd: true}),
			want: refusesToken("no NotOnOrAfter"),
		},
		{
			name: "SAML: a confirmation with a beginning", set: saml(cloudtest.SAMLTokenOptions{ConfirmationNotBefore: true}),
			want: refusesToken("has a NotBefore"),
		},
		{
			name: "SAML: no AuthnStatement", set: saml(cloudtest.SAMLTokenOptions{NoAuthnStatement: true}),
			want: refusesToken("AuthnStatement"),
		},
		{
			name: "SAML: a Response that tells of a failure",
			set:  saml(cloudtest.SAMLTokenOptions{Status: "urn:oasis:names:tc:SAML:2.0:status:Requester"}),
			want: refusesToken("the status of the Response"), wisp: notAToken,
			differs: becauseNoToken,
		},
		{
			name: "SAML: XML without base64", set: both(samlDocument, func(s *stage) { s.holds("<samlp:Response/>") }),
			want: refusesToken("base64"), wisp: notAToken, differs: becauseNoToken,
		},
		{
			name: "SAML: base64url, as RFC 8693 wants it", set: both(samlDocument, func(s *stage) {
				s.holds(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s.assertion(cloudtest.SAMLTokenOptions{})))
			}),
			want: refusesToken("standard alphabet"),
		},
		{
			name: "SAML: base64 in lines", set: both(samlDocument, func(s *stage) {
				s.holds(regexp.MustCompile(".{76}").ReplaceAllString(s.assertion(cloudtest.SAMLTokenOptions{}), "$0\n"))
			}),
			want: gets(samlMember), wisp: notAToken,
			differs: "wisp wants base64 on one line; that Google takes several is written nowhere, and only the fake's decoder",
		},
	}
}

// samlDocument makes the document one of the SAML provider.
func samlDocument(s *stage) {
	s.asks("saml")
	s.document["subject_token_type"] = refresher.TypeSAML2
}

func saml(o cloudtest.SAMLTokenOptions) func(*stage) {
	return both(samlDocument, func(s *stage) { s.holds(s.assertion(o)) })
}

// assertion makes one for the provider, if o is not for somebody else.
func (s *stage) assertion(o cloudtest.SAMLTokenOptions) string {
	if o.Audience == "" {
		o.Audience = "https://iam.googleapis.com/" + provider("saml")
	}
	return s.idp.Mint(o)
}

// restrictedTwice adds a second restriction: all have to name the provider.
func restrictedTwice(document string) string {
	const end = "</saml:Conditions>"
	return strings.Replace(document, end, "<saml:AudienceRestriction><saml:Audience>https://sp.example</saml:Audience></saml:AudienceRestriction>"+end, 1)
}
