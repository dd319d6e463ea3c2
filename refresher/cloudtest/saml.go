package cloudtest

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/beevik/etree"
)

// Names of SAML 2.0 (https://docs.oasis-open.org/security/saml/v2.0/saml-core-2.0-os.pdf).
const (
	samlProtocol     = "urn:oasis:names:tc:SAML:2.0:protocol"
	samlAssertion    = "urn:oasis:names:tc:SAML:2.0:assertion"
	samlSuccess      = "urn:oasis:names:tc:SAML:2.0:status:Success"
	samlBearer       = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	samlEntityFormat = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
)

// SAMLTrust is what [VerifySAML] accepts.
type SAMLTrust struct {
	EntityID     string              // the identity provider's
	Certificates []*x509.Certificate // of its keys; one that is not valid at the time does not count
	Audiences    []string            // each AudienceRestriction must hold one of these
	Now          func() time.Time    // nil is time.Now
}

// A SAMLSubject is what a verified assertion says.
type SAMLSubject struct {
	NameID     string
	Attributes map[string][]string // by name
	Expires    time.Time           // the first of the ends that the assertion gives itself
}

// VerifySAML checks a SAML 2.0 Response or Assertion in base64, by the rules that Google documents for
// workload identity federation. It verifies each signature that there is, and reads only what is
// signed. The error says in words what is wrong; it may hold names and times out of the document.
//
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token (subject_token)
func VerifySAML(raw string, o SAMLTrust) (SAMLSubject, error) {
	root, err := parseSAML(raw)
	if err != nil {
		return SAMLSubject{}, err
	}
	if err := checkSignaturePlaces(root); err != nil {
		return SAMLSubject{}, err
	}
	v := samlVerifier{SAMLTrust: o, now: clock(o.Now)()}
	assertion := root
	if isElement(root, samlProtocol, "Response") {
		assertion, err = v.response(root)
	} else if !isSigned(root) {
		err = errors.New("the Assertion is not signed")
	}
	if err != nil {
		return SAMLSubject{}, err
	}
	if isSigned(assertion) {
		if assertion, err = v.signed(assertion); err != nil {
			return SAMLSubject{}, fmt.Errorf("the Assertion: %w", err)
		}
	}
	subject, err := v.assertion(assertion)
	if err != nil {
		return SAMLSubject{}, fmt.Errorf("the Assertion: %w", err)
	}
	return subject, nil
}

// parseSAML reads the document. A document type declaration, which could define entities, is not
// allowed in SAML.
func parseSAML(raw string) (*etree.Element, error) {
	text, err := base64.StdEncoding.Strict().DecodeString(raw)
	if err != nil {
		return nil, errors.New("it is not base64 of the standard alphabet")
	}
	document := etree.NewDocument()
	document.ReadSettings = etree.ReadSettings{ValidateInput: true, MaxDepth: 32}
	if err := document.ReadFromBytes(text); err != nil || document.Root() == nil {
		return nil, errors.New("it is not XML")
	}
	if slices.ContainsFunc(document.Child, func(t etree.Token) bool { _, ok := t.(*etree.Directive); return ok }) {
		return nil, errors.New("it has a document type declaration")
	}
	root := document.Root()
	if !isElement(root, samlProtocol, "Response") && !isElement(root, samlAssertion, "Assertion") {
		return nil, errors.New("it is neither a Response nor an Assertion of SAML 2.0")
	}
	return root, nil
}

// A samlVerifier is one verification.
type samlVerifier struct {
	SAMLTrust
	now time.Time
}

// response checks a Response and returns the assertion in it, whose own signature remains to be
// verified. A Response without a signature needs an assertion that has one.
func (v samlVerifier) response(root *etree.Element) (*etree.Element, error) {
	vouched := isSigned(root)
	if vouched {
		var err error
		if root, err = v.signed(root); err == nil {
			err = v.issuer(root)
		}
		if err != nil {
			return nil, fmt.Errorf("the Response: %w", err)
		}
	}
	if code, _ := attribute(child(child(root, samlProtocol, "Status"), samlProtocol, "StatusCode"), "Value"); code != samlSuccess {
		return nil, fmt.Errorf("the status of the Response is %q", code)
	}
	assertions := children(root, samlAssertion, "Assertion")
	if len(assertions) != 1 || len(children(root, samlAssertion, "EncryptedAssertion")) > 0 {
		return nil, errors.New("the Response does not hold exactly one Assertion, unencrypted")
	}
	if !vouched && !isSigned(assertions[0]) {
		return nil, errors.New("neither the Response nor its Assertion is signed")
	}
	return assertions[0], nil
}

// issuer checks whom an element says it is of.
func (v samlVerifier) issuer(e *etree.Element) error {
	issuer := child(e, samlAssertion, "Issuer")
	if issuer == nil {
		return errors.New("the Issuer is missing")
	}
	if format, ok := attribute(issuer, "Format"); ok && format != samlEntityFormat {
		return fmt.Errorf("the Format of the Issuer is %q", format)
	}
	if issuer.Text() != v.EntityID {
		return fmt.Errorf("the Issuer is %q, not %q", issuer.Text(), v.EntityID)
	}
	return nil
}

// isElement reports whether an element has a name.
func isElement(e *etree.Element, space, tag string) bool {
	return e.Tag == tag && e.NamespaceURI() == space
}

// children returns the children of a name. A missing element has none.
func children(e *etree.Element, space, tag string) []*etree.Element {
	if e == nil {
		return nil
	}
	return slices.DeleteFunc(e.ChildElements(), func(c *etree.Element) bool { return !isElement(c, space, tag) })
}

// child returns the only child of a name, nil if there is none or another.
func child(e *etree.Element, space, tag string) *etree.Element {
	found := children(e, space, tag)
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// attribute returns the value of an attribute without a namespace. A missing element has none.
func attribute(e *etree.Element, name string) (string, bool) {
	if e == nil {
		return "", false
	}
	for _, a := range e.Attr {
		if a.Space == "" && a.Key == name {
			return a.Value, true
		}
	}
	return "", false
}
