package cloudtest

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// isSigned reports whether an element has a signature of its own.
func isSigned(e *etree.Element) bool { return child(e, dsig.Namespace, dsig.SignatureTag) != nil }

// checkSignaturePlaces sees to it that nothing but the root and its assertions is signed, each once, and
// that an ID names one element. What is elsewhere would make one element pass for another's signature.
func checkSignaturePlaces(root *etree.Element) error {
	seen := map[string]bool{}
	var visit func(e *etree.Element) error
	visit = func(e *etree.Element) error {
		if id, ok := attribute(e, "ID"); ok {
			if seen[id] {
				return fmt.Errorf("two elements have the ID %q", id)
			}
			seen[id] = true
		}
		top := e == root || e.Parent() == root && isElement(e, samlAssertion, "Assertion")
		if n := len(children(e, dsig.Namespace, dsig.SignatureTag)); n > 1 || n == 1 && !top {
			return errors.New("a Signature is not where it belongs")
		}
		for _, c := range e.ChildElements() {
			if err := visit(c); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(root)
}

// signed verifies an element's signature with any of the certificates. It returns the element as it
// was signed, so that nothing else is read: without the signature, and without comments.
func (v samlVerifier) signed(e *etree.Element) (*etree.Element, error) {
	signature := child(e, dsig.Namespace, dsig.SignatureTag)
	id, _ := attribute(e, "ID")
	reference := child(child(signature, dsig.Namespace, dsig.SignedInfoTag), dsig.Namespace, dsig.ReferenceTag)
	if uri, _ := attribute(reference, dsig.URIAttr); id == "" || uri != "#"+id {
		return nil, errors.New("the Signature is not about the element that it is in")
	}
	copied, err := detached(e)
	if err != nil {
		return nil, errors.New("the Signature cannot be read")
	}
	// What the document says about the key does not count.
	signature = child(copied, dsig.Namespace, dsig.SignatureTag)
	for _, info := range children(signature, dsig.Namespace, dsig.KeyInfoTag) {
		signature.RemoveChild(info)
	}
	for _, certificate := range v.Certificates {
		verification := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{certificate}})
		verification.Clock = dsig.NewFakeClockAt(v.now)
		if signed, err := verification.Validate(copied); err == nil {
			return signed, nil
		}
	}
	return nil, errors.New("the Signature does not verify with any certificate of the identity provider")
}

// detached is a copy of an element that stands for itself, with the namespaces that it inherited.
func detached(e *etree.Element) (*etree.Element, error) {
	context, err := etreeutils.NSBuildParentContext(e)
	if err != nil {
		return nil, err
	}
	return etreeutils.NSDetatch(context, e)
}
