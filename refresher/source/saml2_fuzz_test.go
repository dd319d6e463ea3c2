package source

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode"

	"github.com/wisp-sidecar/wisp/refresher"
)

func FuzzSAML2(f *testing.F) {
	const (
		response  = `<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol"><p:Status><p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></p:Status>`
		assertion = `<Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion" IssueInstant="2026-01-02T03:04:05Z"><Conditions NotOnOrAfter="2026-01-02T04:04:05.6+01:00"/></Assertion>`
	)
	for _, document := range []string{
		assertion, response + assertion + "</p:Response>", response, assertion + assertion, "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
		"<?xml version='1.0' encoding='UTF-16'?><a/>", "<a", "", strings.Replace(response, "Success", "Requester\x1b[2J", 1),
		strings.Repeat("<a>", 1000), `<a xmlns:b="c" b:d="e"/>`, "\xef\xbb\xbf" + assertion,
	} {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		standard, err := parseSAML2(refresher.Secret(base64.StdEncoding.EncodeToString(document)))
		raw, rawErr := parseSAML2(refresher.Secret(base64.RawURLEncoding.EncodeToString(document)))
		if (err == nil) != (rawErr == nil) || !standard.expires.Equal(raw.expires) || !standard.issued.Equal(raw.issued) {
			t.Errorf("the alphabets of base64 make a difference: %v, %v and %v, %v", standard, err, raw, rawErr)
		}
		if err != nil {
			if text := err.Error(); len(text) > 500 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("error %q", text)
			}
			return
		}
		if year := standard.expires.Year(); !standard.expires.IsZero() && (year < 0 || year > 9999) {
			t.Errorf("expires in the year %d", year)
		}
	})
}
