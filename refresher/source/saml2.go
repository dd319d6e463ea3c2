package source

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// The namespaces of SAML 2.0, and the one status that comes with an assertion.
// Source: https://docs.oasis-open.org/security/saml/v2.0/saml-core-2.0-os.pdf
const (
	samlProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	samlAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	samlSuccess   = "urn:oasis:names:tc:SAML:2.0:status:Success"
)

// samlValidity is when an assertion may be used; a time is zero if the assertion does not say.
type samlValidity struct {
	issued  time.Time
	expires time.Time // the first of all NotOnOrAfter
}

// parseSAML2 looks whether raw can be a SAML 2 Response or Assertion in base64, of either alphabet,
// padded or not (RFC 8693 section 3 wants base64url, identity providers write what they like), and when
// it is good for. Signatures, conditions and audiences are the cloud's to judge. Errors never quote raw.
func parseSAML2(raw refresher.Secret) (samlValidity, error) {
	text := raw.Reveal()
	switch {
	case strings.HasPrefix(text, "<"):
		return samlValidity{}, fmt.Errorf("%w: XML as it is: it must be in base64", errNotSAML)
	case strings.ContainsAny(text, " \t\r\n"):
		return samlValidity{}, fmt.Errorf("%w: white space inside: its base64 must be on one line", errNotSAML)
	}
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	document, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return samlValidity{}, fmt.Errorf("%w: not base64", errNotSAML)
	}
	validity, err := readSAML2(document)
	if err != nil {
		return samlValidity{}, fmt.Errorf("%w: %w", errNotSAML, err)
	}
	return validity, nil
}

// What can be wrong with an assertion, as far as the advice differs.
var (
	errNotSAML    = errors.New("SAML assertion")
	errIdPRefused = errors.New("the identity provider refused to make one")
	errNotXML     = errors.New("not a whole XML document")
)

// readSAML2 goes through the document once. An assertion may be encrypted: then it tells nothing.
func readSAML2(document []byte) (samlValidity, error) {
	var v samlValidity
	decoder := xml.NewDecoder(bytes.NewReader(document))
	depth := 0
	rooted := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // its text can quote the document
			return samlValidity{}, errNotXML
		}
		switch element := token.(type) {
		case xml.StartElement:
			if depth++; depth == 1 {
				if rooted || !isSAMLRoot(element.Name) {
					return samlValidity{}, errors.New("the document is neither a Response nor an Assertion of SAML 2.0")
				}
				rooted = true
			}
			if err := v.note(element); err != nil {
				return samlValidity{}, err
			}
		case xml.EndElement:
			depth--
		}
	}
	if !rooted {
		return samlValidity{}, errNotXML
	}
	return v, nil
}

func isSAMLRoot(name xml.Name) bool {
	return name == xml.Name{Space: samlProtocol, Local: "Response"} || name == xml.Name{Space: samlAssertion, Local: "Assertion"}
}

// note takes over what an element says about time, and about success.
func (v *samlValidity) note(element xml.StartElement) error {
	switch element.Name {
	case xml.Name{Space: samlProtocol, Local: "StatusCode"}:
		// Those inside an unsuccessful one say why; the outermost comes first.
		if status := attribute(element, "Value"); status != samlSuccess {
			return fmt.Errorf("%w: status %q", errIdPRefused, upstream.Clean(status))
		}
	case xml.Name{Space: samlAssertion, Local: "Assertion"}:
		issued, err := samlTime(element, "IssueInstant")
		if err != nil {
			return err
		}
		v.issued = issued
	case xml.Name{Space: samlAssertion, Local: "Conditions"},
		xml.Name{Space: samlAssertion, Local: "SubjectConfirmationData"}:
		expires, err := samlTime(element, "NotOnOrAfter")
		if err != nil {
			return err
		}
		if !expires.IsZero() && (v.expires.IsZero() || expires.Before(v.expires)) {
			v.expires = expires
		}
	}
	return nil
}

func attribute(element xml.StartElement, name string) string {
	for _, a := range element.Attr {
		if a.Name == (xml.Name{Local: name}) {
			return a.Value
		}
	}
	return ""
}

// samlTime reads an attribute that is an xs:dateTime in UTC, as SAML wants them; zero if there is none.
func samlTime(element xml.StartElement, name string) (time.Time, error) {
	text := attribute(element, name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s of %s is not a time in UTC such as 2026-01-02T03:04:05Z", name, element.Name.Local)
	}
	return at, nil
}
