package cloudtest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/beevik/etree"
	"github.com/go-jose/go-jose/v4"
	dsig "github.com/russellhaering/goxmldsig"
)

// SAMLOptions configure a [SAMLIdP].
type SAMLOptions struct {
	EntityID string           // required
	Now      func() time.Time // nil is time.Now
	Rand     io.Reader        // for the ids of documents; nil is crypto/rand
}

// A SAMLIdP is a SAML 2.0 identity provider, as far as the documents go that it signs: nobody signs
// in here, and it serves nothing. It is safe for concurrent use.
type SAMLIdP struct {
	entityID string
	now      func() time.Time
	chance   *chance
	signer   samlSigner
}

// A samlSigner is a key and its certificate.
type samlSigner struct {
	key         crypto.Signer
	certificate *x509.Certificate
}

// NewSAMLIdP returns an identity provider with a new RSA key, whose certificate is good for the ten
// years around now. It panics without an entity id.
func NewSAMLIdP(o SAMLOptions) *SAMLIdP {
	if o.EntityID == "" {
		panic("cloudtest: SAMLOptions need EntityID")
	}
	s := &SAMLIdP{entityID: o.EntityID, now: clock(o.Now), chance: newChance(o.Rand)}
	s.signer = s.newSigner()
	return s
}

// EntityID is the provider's name, as in Issuer.
func (s *SAMLIdP) EntityID() string { return s.entityID }

// Certificate is that of the key which signs.
func (s *SAMLIdP) Certificate() *x509.Certificate { return s.signer.certificate }

// Mint returns a document in base64, standard alphabet with padding.
func (s *SAMLIdP) Mint(o SAMLTokenOptions) string {
	root := s.build(o)
	if o.Edit != nil {
		edited := etree.NewDocument()
		if err := edited.ReadFromString(o.Edit(documentOf(root))); err != nil {
			panic(fmt.Sprintf("cloudtest: SAMLTokenOptions.Edit: %v", err))
		}
		root = edited.Root()
	}
	signer := s.signer
	if o.WrongKey {
		signer = s.newSigner()
	}
	assertions := children(root, samlAssertion, "Assertion")
	if o.Bare {
		assertions = []*etree.Element{root}
	}
	if o.Signed == SAMLSignAssertion || o.Signed == SAMLSignBoth {
		for _, assertion := range assertions {
			signer.sign(assertion)
		}
	}
	if !o.Bare && (o.Signed == SAMLSignResponse || o.Signed == SAMLSignBoth) {
		signer.sign(root)
	}
	if o.Tampered {
		for _, assertion := range assertions {
			usurp(assertion)
		}
	}
	if o.Wrapped {
		for _, assertion := range assertions {
			s.wrap(assertion)
		}
	}
	return base64.StdEncoding.EncodeToString([]byte(documentOf(root)))
}

func documentOf(root *etree.Element) string {
	document := etree.NewDocument()
	document.SetRoot(root)
	text, err := document.WriteToString()
	if err != nil {
		panic(fmt.Sprintf("cloudtest: %v", err))
	}
	return text
}

// id makes the ID of an element: an XML name, so it must not begin with a digit.
func (s *SAMLIdP) id() string { return "_" + hex.EncodeToString(s.chance.bytes(16)) }

func (s *SAMLIdP) newSigner() samlSigner {
	key := newKey(jose.RS256).Key.(crypto.Signer)
	now := s.now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    now.AddDate(-5, 0, 0),
		NotAfter:     now.AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(fmt.Sprintf("cloudtest: certificate: %v", err))
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("cloudtest: certificate: %v", err))
	}
	return samlSigner{key: key, certificate: certificate}
}

// sign gives an element an enveloped signature: RSA with SHA-256 over its exclusive canonical
// form. The schema wants it right after the Issuer.
func (s samlSigner) sign(e *etree.Element) {
	signing, err := dsig.NewSigningContext(s.key, [][]byte{s.certificate.Raw})
	if err != nil {
		panic(fmt.Sprintf("cloudtest: sign: %v", err))
	}
	signing.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	alone, err := detached(e) // it is changed while it is signed
	if err != nil {
		panic(fmt.Sprintf("cloudtest: sign: %v", err))
	}
	signature, err := signing.ConstructSignature(alone, true)
	if err != nil {
		panic(fmt.Sprintf("cloudtest: sign: %v", err))
	}
	at := 0
	if issuer := child(e, samlAssertion, "Issuer"); issuer != nil {
		at = issuer.Index() + 1
	}
	e.InsertChildAt(at, signature)
}

// usurp puts another name into an assertion.
func usurp(assertion *etree.Element) {
	if name := child(child(assertion, samlAssertion, "Subject"), samlAssertion, "NameID"); name != nil {
		name.SetText("administrator")
	}
}

// wrap hides a signed assertion in the signature of a forged one. A verifier that looks for the
// signed element in one place and reads the subject in another falls for it.
func (s *SAMLIdP) wrap(assertion *etree.Element) {
	signature := child(assertion, dsig.Namespace, dsig.SignatureTag)
	if signature == nil {
		panic("cloudtest: SAMLTokenOptions.Wrapped needs a signed assertion")
	}
	genuine := assertion.Copy()
	genuine.RemoveChild(child(genuine, dsig.Namespace, dsig.SignatureTag))
	signature.CreateElement("ds:Object").AddChild(genuine)
	assertion.CreateAttr("ID", s.id())
	usurp(assertion)
}
