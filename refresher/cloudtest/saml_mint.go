package cloudtest

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/beevik/etree"
)

// SAMLSigned says what a [SAMLIdP] signs.
type SAMLSigned int

// What can be signed. A bare assertion has no Response to sign.
const (
	SAMLSignAssertion SAMLSigned = iota
	SAMLSignResponse
	SAMLSignBoth
	SAMLSignNothing
)

// SAMLTokenOptions say what a [SAMLIdP] puts into a document. The zero value gives a good Response
// with one signed Assertion, good for an hour, about "reports", with an empty audience. The second half of the
// fields breaks it in one way each.
type SAMLTokenOptions struct {
	NameID     string // default "reports"
	Attributes map[string][]string
	Audience   string        // of the one AudienceRestriction
	Lifetime   time.Duration // from Issued to all ends; default 1 h; may be negative
	Issued     time.Time     // IssueInstant; zero is now
	Bare       bool          // an Assertion without a Response around it
	Signed     SAMLSigned

	Issuer                string // of the Response and the Assertion, instead of the entity id
	Status                string // of the Response, instead of success
	Method                string // of the SubjectConfirmation, instead of bearer
	Assertions            int    // in the Response; default 1
	NoAuthnStatement      bool
	NoConfirmationEnd     bool // no NotOnOrAfter in the SubjectConfirmationData
	ConfirmationNotBefore bool // a NotBefore there, though past
	WrongKey              bool // sign with a key of no known certificate
	Tampered              bool // put another NameID in after signing
	Wrapped               bool // hide the signed Assertion in the signature of another

	// Edit changes the document's text before it is signed, in any way that leaves it XML; nil does
	// not.
	Edit func(document string) string
}

// build makes the document, unsigned.
func (s *SAMLIdP) build(o SAMLTokenOptions) *etree.Element {
	o.Issuer = cmp.Or(o.Issuer, s.entityID)
	if o.Issued.IsZero() {
		o.Issued = s.now()
	}
	if o.Bare {
		return s.assertion(o)
	}
	response := element(nil, "samlp:Response", "xmlns:samlp", samlProtocol, "xmlns:saml", samlAssertion,
		"ID", s.id(), "Version", "2.0", "IssueInstant", samlTime(o.Issued))
	element(response, "saml:Issuer").SetText(o.Issuer)
	element(element(response, "samlp:Status"), "samlp:StatusCode", "Value", cmp.Or(o.Status, samlSuccess))
	for range cmp.Or(o.Assertions, 1) {
		response.AddChild(s.assertion(o))
	}
	return response
}

func (s *SAMLIdP) assertion(o SAMLTokenOptions) *etree.Element {
	start := samlTime(o.Issued)
	end := samlTime(o.Issued.Add(cmp.Or(o.Lifetime, time.Hour)))
	assertion := element(nil, "saml:Assertion", "xmlns:saml", samlAssertion,
		"ID", s.id(), "Version", "2.0", "IssueInstant", start)
	element(assertion, "saml:Issuer").SetText(o.Issuer)

	subject := element(assertion, "saml:Subject")
	element(subject, "saml:NameID").SetText(cmp.Or(o.NameID, "reports"))
	confirmation := element(subject, "saml:SubjectConfirmation", "Method", cmp.Or(o.Method, samlBearer))
	data := element(confirmation, "saml:SubjectConfirmationData")
	if o.ConfirmationNotBefore {
		data.CreateAttr("NotBefore", start)
	}
	if !o.NoConfirmationEnd {
		data.CreateAttr("NotOnOrAfter", end)
	}

	conditions := element(assertion, "saml:Conditions", "NotBefore", start, "NotOnOrAfter", end)
	element(element(conditions, "saml:AudienceRestriction"), "saml:Audience").SetText(o.Audience)

	if !o.NoAuthnStatement {
		statement := element(assertion, "saml:AuthnStatement", "AuthnInstant", start, "SessionNotOnOrAfter", end)
		element(element(statement, "saml:AuthnContext"), "saml:AuthnContextClassRef").
			SetText("urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified")
	}
	if len(o.Attributes) > 0 {
		statement := element(assertion, "saml:AttributeStatement")
		for _, name := range slices.Sorted(maps.Keys(o.Attributes)) {
			attribute := element(statement, "saml:Attribute", "Name", name)
			for _, value := range o.Attributes[name] {
				element(attribute, "saml:AttributeValue").SetText(value)
			}
		}
	}
	return assertion
}

// element makes an element with attributes, given as names and values, in a parent unless that is
// nil.
func element(parent *etree.Element, tag string, attributes ...string) *etree.Element {
	e := etree.NewElement(tag)
	for pair := range slices.Chunk(attributes, 2) {
		e.CreateAttr(pair[0], pair[1])
	}
	if parent != nil {
		parent.AddChild(e)
	}
	return e
}
