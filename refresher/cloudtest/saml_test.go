package cloudtest_test

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const samlEntity = "https://idp.example.test/saml"

func newSAMLIdP(h *hand) *cloudtest.SAMLIdP {
	return cloudtest.NewSAMLIdP(cloudtest.SAMLOptions{EntityID: samlEntity, Now: h.clock, Rand: seeded()})
}

// changed replaces what a pattern matches, which it must.
func changed(pattern, instead string) func(string) string {
	return func(document string) string {
		edited := regexp.MustCompile(pattern).ReplaceAllString(document, instead)
		if edited == document {
			panic("nothing in the document matches " + pattern)
		}
		return edited
	}
}

func TestVerifySAML(t *testing.T) {
	h := &hand{now: start}
	idp := newSAMLIdP(h)
	other := newSAMLIdP(h)
	trust := cloudtest.SAMLTrust{
		EntityID: samlEntity, Audiences: []string{"https://a.example.test", "a"}, Now: h.clock,
		Certificates: []*x509.Certificate{other.Certificate(), idp.Certificate()}, // any will do
	}
	type options = cloudtest.SAMLTokenOptions
	const (
		signature = "the Signature does not verify with any certificate of the identity provider"
		about     = "the Signature is not about the element that it is in"
	)
	// A good signature, but of another Assertion.
	stranger, err := base64.StdEncoding.DecodeString(idp.Mint(options{Bare: true, Audience: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	foreign := regexp.MustCompile(`<ds:Signature .*</ds:Signature>`).FindString(string(stranger))
	for _, c := range []struct {
		name string
		o    options
		want string // empty: accepted
	}{
		{"a Response with a signed Assertion", options{}, ""},
		{"a signed Response", options{Signed: cloudtest.SAMLSignResponse}, ""},
		{"both signed", options{Signed: cloudtest.SAMLSignBoth}, ""},
		{"a bare Assertion", options{Bare: true}, ""},
		{"an Issuer that says what it is", options{Edit: changed(`<saml:Issuer>`, `<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">`)}, ""},
		{"namespaces that the Assertion inherits", options{Edit: changed(`(<saml:Assertion) xmlns:saml="[^"]*"`, `$1`)}, ""},
		{"two audiences in one restriction", options{Edit: changed(`<saml:Audience>`, `<saml:Audience>b</saml:Audience>$0`)}, ""},
		{"two restrictions that both hold it", options{Edit: changed(`<saml:AudienceRestriction>.*</saml:AudienceRestriction>`, `$0$0`)}, ""},
		{"issued an hour ago", options{Issued: start.Add(-time.Hour), Lifetime: 2 * time.Hour}, ""},
		{"no dates that need not be", options{Edit: changed(` NotBefore="[^"]*" NotOnOrAfter="[^"]*"| SessionNotOnOrAfter="[^"]*"`, ``)}, ""},
		{"a comment in the name, which is not signed", options{Edit: changed(`(<saml:NameID>re)(ports)`, `$1<!-- -->$2`)}, ""},

		{"nothing signed", options{Signed: cloudtest.SAMLSignNothing}, "neither the Response nor its Assertion is signed"},
		{"a bare Assertion that is not signed", options{Bare: true, Signed: cloudtest.SAMLSignNothing}, "the Assertion is not signed"},
		{"an Assertion of somebody else's key", options{WrongKey: true}, "the Assertion: " + signature},
		{"a Response of somebody else's key", options{WrongKey: true, Signed: cloudtest.SAMLSignResponse}, "the Response: " + signature},
		{"tampered with", options{Tampered: true}, "the Assertion: " + signature},
		{"tampered with in a signed Response", options{Tampered: true, Signed: cloudtest.SAMLSignResponse}, "the Response: " + signature},
		{"a signed Response, but its Assertion has another one's signature", options{
			Signed: cloudtest.SAMLSignResponse, Edit: changed(`<saml:Subject>`, foreign+`$0`),
		}, "the Assertion: " + about},
		{"a signature wrapped", options{Wrapped: true}, "the Assertion: " + about},
		{"a signature wrapped in a bare Assertion", options{Wrapped: true, Bare: true}, "the Assertion: " + about},
		{"no ID", options{Edit: changed(`(<saml:Assertion xmlns:saml="[^"]*") ID="[^"]*"`, `$1`)}, "the Assertion: " + about},
		{"the same ID twice", options{Edit: changed(` ID="[^"]*"`, ` ID="x"`)}, `two elements have the ID "x"`},

		{"a status that is not success", options{Status: "urn:oasis:names:tc:SAML:2.0:status:Responder"}, `the status of the Response is "urn:oasis:names:tc:SAML:2.0:status:Responder"`},
		{"no status", options{Edit: changed(`<samlp:Status>.*</samlp:Status>`, ``)}, `the status of the Response is ""`},
		{"two Assertions", options{Assertions: 2}, "the Response does not hold exactly one Assertion, unencrypted"},
		{"no Assertion", options{Edit: changed(`<saml:Assertion .*</saml:Assertion>`, ``)}, "the Response does not hold exactly one Assertion, unencrypted"},
		{"an encrypted Assertion too", options{Edit: changed(`<saml:Assertion `, `<saml:EncryptedAssertion/>$0`)}, "the Response does not hold exactly one Assertion, unencrypted"},
		{"a signed Response of another Issuer", options{Signed: cloudtest.SAMLSignResponse, Issuer: "https://x"}, `the Response: the Issuer is "https://x", not "https://idp.example.test/saml"`},
		{"a signed Response without an Issuer", options{Signed: cloudtest.SAMLSignResponse, Edit: changed(`<saml:Issuer>[^<]*</saml:Issuer><samlp:Status>`, `<samlp:Status>`)}, "the Response: the Issuer is missing"},
		{"a signed Response of an e-mail", options{Signed: cloudtest.SAMLSignResponse, Edit: changed(`<saml:Issuer>`, `<saml:Issuer Format="e-mail">`)}, `the Response: the Format of the Issuer is "e-mail"`},

		{"another Issuer", options{Issuer: "https://x"}, `the Assertion: the Issuer is "https://x", not "https://idp.example.test/saml"`},
		{"no Issuer", options{Bare: true, Edit: changed(`<saml:Issuer>[^<]*</saml:Issuer>`, ``)}, "the Assertion: the Issuer is missing"},
		{"an Issuer that is an e-mail", options{Edit: changed(`<saml:Issuer>`, `<saml:Issuer Format="e-mail">`)}, `the Assertion: the Format of the Issuer is "e-mail"`},
		{"no IssueInstant", options{Bare: true, Edit: changed(` IssueInstant="[^"]*"`, ``)}, "the Assertion: the IssueInstant is missing"},
		{"an IssueInstant that is no time", options{Edit: changed(`IssueInstant="[^"]*"`, `IssueInstant="now"`)}, `the Assertion: the IssueInstant "now" is not a time`},
		{"issued in the future", options{Issued: start.Add(time.Second)}, "the Assertion: the IssueInstant 2026-01-02T03:04:06Z is in the future"},
		{"issued more than an hour ago", options{Issued: start.Add(-time.Hour - time.Second), Lifetime: 2 * time.Hour}, "the Assertion: the IssueInstant 2026-01-02T02:04:04Z is more than an hour ago"},
		{"no NameID", options{Edit: changed(`<saml:NameID>.*</saml:NameID>`, ``)}, "the Assertion: the Subject has no NameID"},
		{"no Subject", options{Edit: changed(`<saml:Subject>.*</saml:Subject>`, ``)}, "the Assertion: the Subject has no NameID"},
		{"no SubjectConfirmation", options{Edit: changed(`<saml:SubjectConfirmation .*</saml:SubjectConfirmation>`, ``)}, "the Assertion: the Subject has 0 SubjectConfirmations, not one"},
		{"two SubjectConfirmations", options{Edit: changed(`<saml:SubjectConfirmation .*</saml:SubjectConfirmation>`, `$0$0`)}, "the Assertion: the Subject has 2 SubjectConfirmations, not one"},
		{"another method of confirmation", options{Method: "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"}, `the Assertion: the Method of the SubjectConfirmation is "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"`},
		{"no SubjectConfirmationData", options{Edit: changed(`<saml:SubjectConfirmationData[^>]*>`, ``)}, "the Assertion: the SubjectConfirmationData has no NotOnOrAfter"},
		{"a confirmation that does not end", options{NoConfirmationEnd: true}, "the Assertion: the SubjectConfirmationData has no NotOnOrAfter"},
		{"a confirmation that has ended", options{Edit: changed(`(ConfirmationData NotOnOrAfter)="[^"]*"`, `$1="2026-01-02T03:04:05Z"`)}, "the Assertion: the NotOnOrAfter 2026-01-02T03:04:05Z of the SubjectConfirmationData has passed"},
		{"a confirmation with a NotBefore", options{ConfirmationNotBefore: true}, "the Assertion: the SubjectConfirmationData has a NotBefore"},
		{"expired", options{Issued: start.Add(-time.Minute), Lifetime: time.Minute}, "the Assertion: the NotOnOrAfter 2026-01-02T03:04:05Z of the SubjectConfirmationData has passed"},
		{"no Conditions", options{Edit: changed(`<saml:Conditions.*</saml:Conditions>`, ``)}, "the Assertion: the Conditions are missing"},
		{"Conditions that begin later", options{Edit: changed(`(Conditions NotBefore)="[^"]*"`, `$1="2026-01-02T03:04:06Z"`)}, "the Assertion: the NotBefore of the Conditions 2026-01-02T03:04:06Z is in the future"},
		{"Conditions that have ended", options{Edit: changed(`(Conditions NotBefore="[^"]*" NotOnOrAfter)="[^"]*"`, `$1="2026-01-02T03:04:05Z"`)}, "the Assertion: the NotOnOrAfter 2026-01-02T03:04:05Z of the Conditions has passed"},
		{"no AudienceRestriction", options{Edit: changed(`<saml:AudienceRestriction>.*</saml:AudienceRestriction>`, ``)}, "the Assertion: the Conditions have no AudienceRestriction"},
		{"another audience", options{Audience: "b"}, `the Assertion: an AudienceRestriction is for ["b"]`},
		{"a second restriction to another audience", options{Edit: changed(`</saml:Conditions>`, `<saml:AudienceRestriction><saml:Audience>b</saml:Audience></saml:AudienceRestriction>$0`)}, `the Assertion: an AudienceRestriction is for ["b"]`},
		{"no AuthnStatement", options{NoAuthnStatement: true}, "the Assertion: the AuthnStatement is missing"},
		{"somebody who has been signed out", options{Edit: changed(`SessionNotOnOrAfter="[^"]*"`, `SessionNotOnOrAfter="2026-01-02T03:04:05Z"`)}, "the Assertion: the SessionNotOnOrAfter 2026-01-02T03:04:05Z of the AuthnStatement has passed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.o.Audience == "" {
				c.o.Audience = "a"
			}
			subject, err := cloudtest.VerifySAML(idp.Mint(c.o), trust)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("error = %q, want %q", got, c.want)
			}
			if c.want == "" && subject.NameID != "reports" {
				t.Errorf("NameID = %q, want reports", subject.NameID)
			}
			if c.want != "" && subject.NameID != "" {
				t.Errorf("NameID = %q of a refused document", subject.NameID)
			}
		})
	}
}

func TestVerifySAMLReadsDocuments(t *testing.T) {
	h := &hand{now: start}
	idp := newSAMLIdP(h)
	trust := cloudtest.SAMLTrust{EntityID: samlEntity, Audiences: []string{"a"}, Now: h.clock, Certificates: []*x509.Certificate{idp.Certificate()}}
	good := idp.Mint(cloudtest.SAMLTokenOptions{Audience: "a"})
	text, err := base64.StdEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	both, err := base64.StdEncoding.DecodeString(idp.Mint(cloudtest.SAMLTokenOptions{Audience: "a", Signed: cloudtest.SAMLSignBoth}))
	if err != nil {
		t.Fatal(err)
	}
	// What a document says about its key does not count: the certificate may be somebody else's.
	other := base64.StdEncoding.EncodeToString(newSAMLIdP(h).Certificate().Raw)
	swapped := changed(`(<ds:X509Certificate>)[^<]*`, `${1}`+other)(string(text))
	encode := func(document string) string { return base64.StdEncoding.EncodeToString([]byte(document)) }
	for _, c := range []struct {
		name, raw, want string
	}{
		{"a good one", good, ""},
		{"another certificate with the signature", encode(swapped), ""},
		{"both signed, and the Response changed afterwards", encode(changed(`(<samlp:Response [^>]*IssueInstant)="[^"]*"`, `$1="2026-01-01T00:00:00Z"`)(string(both))), "the Response: the Signature does not verify with any certificate of the identity provider"},
		{"no key with the signature", encode(changed(`<ds:KeyInfo>.*</ds:KeyInfo>`, ``)(string(text))), ""},
		{"with an XML declaration", encode(`<?xml version="1.0"?>` + string(text)), ""},
		{"XML that is not in base64", string(text), "it is not base64 of the standard alphabet"},
		{"base64 for URLs", base64.URLEncoding.EncodeToString([]byte("<\xff\xff\xfe>")), "it is not base64 of the standard alphabet"},
		{"base64 without padding", encode("<xx/>")[:7], "it is not base64 of the standard alphabet"},
		{"nothing", "", "it is not XML"},
		{"a JWT", "eyJhbGciOiJSUzI1NiJ9", "it is not XML"},
		{"half of a document", encode(string(text[:len(text)/2])), "it is not XML"},
		{"a document type", encode(`<!DOCTYPE r [<!ENTITY e "x">]>` + string(text)), "it has a document type declaration"},
		{"something else", encode(`<html/>`), "it is neither a Response nor an Assertion of SAML 2.0"},
		{"an Assertion of SAML 1.1", encode(`<Assertion xmlns="urn:oasis:names:tc:SAML:1.0:assertion"/>`), "it is neither a Response nor an Assertion of SAML 2.0"},
	} {
		_, err := cloudtest.VerifySAML(c.raw, trust)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: error = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestVerifySAMLSubject(t *testing.T) {
	h := &hand{now: start}
	idp := newSAMLIdP(h)
	trust := cloudtest.SAMLTrust{EntityID: samlEntity, Audiences: []string{"a"}, Now: h.clock, Certificates: []*x509.Certificate{idp.Certificate()}}
	raw := idp.Mint(cloudtest.SAMLTokenOptions{
		NameID: "system:reports", Audience: "a", Attributes: map[string][]string{"groups": {"a", "b & c"}, "mail": {"x@example.test"}},
		Edit: changed(`SessionNotOnOrAfter="[^"]*"`, `SessionNotOnOrAfter="2026-01-02T03:14:05.5Z"`),
	})
	got, err := cloudtest.VerifySAML(raw, trust)
	if err != nil {
		t.Fatal(err)
	}
	want := cloudtest.SAMLSubject{
		NameID: "system:reports", Attributes: map[string][]string{"groups": {"a", "b & c"}, "mail": {"x@example.test"}},
		Expires: start.Add(10*time.Minute + 500*time.Millisecond),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subject (-want +got):\n%s", diff)
	}

	t.Run("a certificate that has ended", func(t *testing.T) {
		h.now = start.AddDate(6, 0, 0)
		_, err := cloudtest.VerifySAML(idp.Mint(cloudtest.SAMLTokenOptions{Audience: "a"}), trust)
		if err == nil {
			t.Error("VerifySAML = no error, want one")
		}
	})
}

// What keys make differs from run to run.
var samlVolatile = regexp.MustCompile(`(<ds:(DigestValue|SignatureValue|X509Certificate)>)[A-Za-z0-9+/=]{40,}<`)

func TestSAMLIdPWritesDocuments(t *testing.T) {
	h := &hand{now: start}
	idp := newSAMLIdP(h)
	for name, o := range map[string]cloudtest.SAMLTokenOptions{
		"saml_response":  {Audience: "https://iam.googleapis.com/" + provider, Signed: cloudtest.SAMLSignBoth},
		"saml_assertion": {Bare: true, Audience: "a", NameID: "x", Attributes: map[string][]string{"groups": {"a", "b"}}},
	} {
		text, err := base64.StdEncoding.DecodeString(idp.Mint(o))
		if err != nil {
			t.Fatal(err)
		}
		body := samlVolatile.ReplaceAllString(string(text), "$1<$2><")
		body = regexp.MustCompile(`_[0-9a-f]{32}`).ReplaceAllString(body, "<ID>")
		golden(t, name, &http.Response{Status: "document"}, strings.ReplaceAll(body, "><", ">\n<")+"\n")
	}
}

func FuzzVerifySAML(f *testing.F) {
	h := &hand{now: start}
	idp := newSAMLIdP(h)
	trust := cloudtest.SAMLTrust{EntityID: samlEntity, Audiences: []string{"a"}, Now: h.clock, Certificates: []*x509.Certificate{idp.Certificate()}}
	for _, o := range []cloudtest.SAMLTokenOptions{
		{Audience: "a"}, {Audience: "a", Bare: true}, {Audience: "a", Signed: cloudtest.SAMLSignBoth}, {Audience: "a", Wrapped: true},
	} {
		text, err := base64.StdEncoding.DecodeString(idp.Mint(o))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		subject, err := cloudtest.VerifySAML(base64.StdEncoding.EncodeToString(document), trust)
		if err == nil && subject.NameID != "reports" {
			t.Errorf("NameID = %q, which nobody signed", subject.NameID)
		}
	})
}
