package source_test

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

// samlResponse is as AD FS writes one, but for the signature.
const samlResponse = `<samlp:Response ID="_r1" Version="2.0" IssueInstant="2026-01-02T03:04:05.678Z" Destination="https://signin.example/saml" Consent="urn:oasis:names:tc:SAML:2.0:consent:unspecified" xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol">` +
	`<Issuer xmlns="urn:oasis:names:tc:SAML:2.0:assertion">http://adfs.example/adfs/services/trust</Issuer>` +
	`<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success" /></samlp:Status>` +
	samlOne + `</samlp:Response>`

const samlOne = `<Assertion ID="_a1" IssueInstant="2026-01-02T03:04:05.670Z" Version="2.0" xmlns="urn:oasis:names:tc:SAML:2.0:assertion">` +
	`<Issuer>http://adfs.example/adfs/services/trust</Issuer>` +
	`<Subject><NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified">reports</NameID>` +
	`<SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><SubjectConfirmationData NotOnOrAfter="2026-01-02T03:09:05.670Z" Recipient="https://signin.example/saml" /></SubjectConfirmation></Subject>` +
	`<Conditions NotBefore="2026-01-02T03:04:05.660Z" NotOnOrAfter="2026-01-02T04:04:05.660Z"><AudienceRestriction><Audience>//iam.googleapis.com/x</Audience></AudienceRestriction></Conditions>` +
	`<AttributeStatement><Attribute Name="http://schemas.xmlsoap.org/claims/Group"><AttributeValue>NotOnOrAfter="2000-01-01T00:00:00Z"</AttributeValue></Attribute></AttributeStatement>` +
	`<AuthnStatement AuthnInstant="2026-01-02T03:04:05.600Z"><AuthnContext><AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</AuthnContextClassRef></AuthnContext></AuthnStatement></Assertion>`

func TestSAMLAssertionsSayHowLongTheyAreGood(t *testing.T) {
	issued := time.Date(2026, 1, 2, 3, 4, 5, 670e6, time.UTC)
	confirmed := time.Date(2026, 1, 2, 3, 9, 5, 670e6, time.UTC)
	conditions := time.Date(2026, 1, 2, 4, 4, 5, 660e6, time.UTC)
	swap := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(samlResponse) }
	standard, raw := base64.StdEncoding.EncodeToString, base64.RawURLEncoding.EncodeToString
	for _, test := range []struct {
		name            string
		document        string
		encode          func([]byte) string
		issued, expires time.Time
	}{
		{"of two ends the earlier counts, here that of the confirmation", samlResponse, standard, issued, confirmed},
		{
			"of two ends the earlier counts, here that of the conditions",
			swap("T03:09:05.670Z", "T05:00:00Z"), standard, issued, conditions,
		},
		{"only the conditions have an end", swap(`NotOnOrAfter="2026-01-02T03:09:05.670Z"`, ""), standard, issued, conditions},
		{"only the confirmation has an end", swap(`NotOnOrAfter="2026-01-02T04:04:05.660Z"`, ""), standard, issued, confirmed},
		{
			"no end at all",
			swap(`NotOnOrAfter="2026-01-02T03:09:05.670Z"`, "", `NotOnOrAfter="2026-01-02T04:04:05.660Z"`, ""), standard, issued, time.Time{},
		},
		{"a bare assertion", samlOne, standard, issued, confirmed},
		{"with an XML declaration and line feeds", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + samlOne + "\n", standard, issued, confirmed},
		{"prefixes of its own choice", strings.NewReplacer("</", "</a:", "<", "<a:", "xmlns=", "xmlns:a=").Replace(samlOne), standard, issued, confirmed},
		{"base64url without padding", samlResponse + "<!-- ?>?>?~ -->", raw, issued, confirmed},
		{"base64url with padding", samlResponse + "<!-- ?>?>?~  -->", base64.URLEncoding.EncodeToString, issued, confirmed},
		{"base64 without padding", samlResponse + "<!-- ?>?>?~ -->", base64.RawStdEncoding.EncodeToString, issued, confirmed},
		{
			"times with an offset, and without a fraction",
			swap("T03:09:05.670Z", "T05:09:05+02:00", "T03:04:05.670Z", "T03:04:05Z"), standard,
			issued.Truncate(time.Second), confirmed.Truncate(time.Second),
		},
		{
			"an encrypted assertion tells nothing",
			strings.Replace(samlResponse, samlOne, `<EncryptedAssertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"><EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherValue>AAAA</CipherValue></CipherData></EncryptedData></EncryptedAssertion>`, 1),
			standard, time.Time{}, time.Time{},
		},
		{
			"elements of the same name in another namespace do not count",
			strings.Replace(samlResponse, "</Subject>", `</Subject><Conditions xmlns="urn:example" NotOnOrAfter="2000-01-01T00:00:00Z"/>`, 1),
			standard, issued, confirmed,
		},
		{
			"nor do attributes",
			strings.Replace(samlResponse, "<Conditions ", `<Conditions xmlns:x="urn:example" x:NotOnOrAfter="2000-01-01T00:00:00Z" `, 1),
			standard, issued, confirmed,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := test.encode([]byte(test.document))
			path := filepath.Join(t.TempDir(), "assertion")
			write(t, path, text+"\n")
			got, err := newFile(t, source.FileOptions{Path: path, Type: refresher.TypeSAML2}).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Raw.Reveal() != text || got.Type != refresher.TypeSAML2 {
				t.Errorf("Token is of type %s, raw as in the file: %v", got.Type, got.Raw.Reveal() == text)
			}
			if !got.Issued.Equal(test.issued) || !got.Expires.Equal(test.expires) {
				t.Errorf("issued %v, expires %v, want %v and %v", got.Issued, got.Expires, test.issued, test.expires)
			}
		})
	}
}

func TestSAMLThatIsNone(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	swap := func(old, new string) string { return encode([]byte(strings.Replace(samlResponse, old, new, 1))) }
	var b strings.Builder
	for _, test := range []struct{ name, text string }{
		{"nothing", ""},
		{"not base64", samlOne},
		{"base64 in lines", encode([]byte(samlOne))[:76] + "\n" + encode([]byte(samlOne))[76:]},
		{"percent-encoded, as it comes in a form", strings.ReplaceAll(encode([]byte(samlOne)), "=", "%3D") + "%2B"},
		{"deflated, as in a redirect", encode([]byte("\x7d\x92\x41\x4f\xc2\x40\x10\x85\xff\xca\x66\xef\xdb"))},
		{"not XML", encode([]byte("reports"))},
		{"a JWT", hourToken(1)},
		{"cut off", encode([]byte(samlResponse[:len(samlResponse)-9]))},
		{"another element", encode([]byte(`<html><Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"/></html>`))},
		{"SAML 1.1", encode([]byte(`<Assertion xmlns="urn:oasis:names:tc:SAML:1.0:assertion"/>`))},
		{"a request", encode([]byte(`<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>`))},
		{"two documents", encode([]byte(samlOne + samlOne))},
		{"refused by the identity provider", swap("status:Success", "status:Requester")},
		{"a status that is no URN", swap("urn:oasis:names:tc:SAML:2.0:status:Success", hourToken(1)+"\u202e&#10;")},
		{"no status", swap(`Value="urn:oasis:names:tc:SAML:2.0:status:Success" `, "")},
		{"a time without a zone", swap("T03:09:05.670Z", "T03:09:05")},
		{"a date of issue that is none", swap(`Instant="2026-01-02T03:04:05.670Z"`, `Instant="yesterday"`)},
		{"a time out of range", swap("T04:04:05.660Z", "T25:04:05.660Z")},
	} {
		s, err := source.NewURL(source.URLOptions{
			URL: "https://idp.example/assertion", Type: refresher.TypeSAML2, Transport: transport(t, answers(200, test.text)),
		})
		tell(t, &b, test.name, must(t, s, err))
	}
	golden(t, "saml2_refusals", b.String())
}

// What the identity provider of the tests signs is read like what it verifies.
func TestSAMLOfAnIdentityProvider(t *testing.T) {
	idp := cloudtest.NewSAMLIdP(cloudtest.SAMLOptions{EntityID: "https://idp.example"})
	issued := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, o := range map[string]cloudtest.SAMLTokenOptions{
		"a signed assertion in a response": {},
		"a signed response":                {Signed: cloudtest.SAMLSignResponse},
		"a bare assertion":                 {Bare: true},
		"an expired one":                   {Lifetime: -time.Hour},
		"without an end of its subject":    {NoConfirmationEnd: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.Issued = issued
			lifetime := o.Lifetime
			if lifetime == 0 {
				lifetime = time.Hour
			}
			path := filepath.Join(t.TempDir(), "assertion")
			write(t, path, idp.Mint(o))
			got, err := newFile(t, source.FileOptions{Path: path, Type: refresher.TypeSAML2}).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !got.Issued.Equal(issued) || !got.Expires.Equal(issued.Add(lifetime)) {
				t.Errorf("issued %v, expires %v, want %v and %v", got.Issued, got.Expires, issued, issued.Add(lifetime))
			}
		})
	}
}

// AD FS issues its access tokens as JWTs, with a header and claims that no Kubernetes token has.
//
// https://learn.microsoft.com/windows-server/identity/ad-fs/development/ad-fs-openid-connect-oauth-concepts
func TestAccessTokenOfADFS(t *testing.T) {
	const thumbprint = "u1Zf8qGq3lM5w2nA0d7k4jv0x9Q"
	token := segment([]byte(`{"typ":"JWT","alg":"RS256","x5t":"`+thumbprint+`","kid":"`+thumbprint+`"}`)) + "." +
		segment([]byte(`{"aud":"microsoft:identityserver:4fa1c0de-0000-4000-8000-000000000001","iss":"http://adfs.example/adfs/services/trust",`+
			`"iat":1767323045,"nbf":1767323045,"exp":1767326645,"apptype":"Confidential","appid":"c0ffee00-0000-4000-8000-000000000002",`+
			`"authmethod":"http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethods/password",`+
			`"auth_time":"2026-01-02T03:04:05.123Z","ver":"1.0","scp":"openid"}`)) + "." + segment(make([]byte, 256))
	for _, test := range []struct {
		name, content, field string
	}{
		{"alone", token, ""},
		{"in the answer of the token endpoint", `{"access_token":"` + token + `","token_type":"bearer","expires_in":3600}`, "access_token"},
	} {
		for _, kind := range []string{refresher.TypeJWT, refresher.TypeAccessToken} {
			t.Run(test.name+", as "+kind, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "token")
				write(t, path, test.content)
				f := newFile(t, source.FileOptions{Path: path, Type: kind, Format: source.Format{JSONField: test.field}})
				got, err := f.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				want := refresher.Token{Raw: refresher.Secret(token), Type: kind, Issued: time.Unix(1767323045, 0), Expires: time.Unix(1767326645, 0)}
				if got != want {
					t.Errorf("Token = %v, want %v", got, want)
				}
				claims, err := refresher.ParseClaims(got.Raw)
				if err != nil || claims.Issuer != "http://adfs.example/adfs/services/trust" || claims.KeyID != thumbprint {
					t.Errorf("claims = %+v, %v, want those of AD FS", claims, err)
				}
			})
		}
	}
}
