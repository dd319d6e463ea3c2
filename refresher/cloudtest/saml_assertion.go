package cloudtest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/beevik/etree"
)

// maxSAMLAge is how long ago an assertion may have been issued.
const maxSAMLAge = time.Hour

// assertion judges what a signed assertion says.
func (v samlVerifier) assertion(e *etree.Element) (SAMLSubject, error) {
	if err := v.issuer(e); err != nil {
		return SAMLSubject{}, err
	}
	issued, ok, err := instant(e, "IssueInstant")
	switch {
	case err != nil:
		return SAMLSubject{}, err
	case !ok:
		return SAMLSubject{}, errors.New("the IssueInstant is missing")
	case issued.After(v.now):
		return SAMLSubject{}, fmt.Errorf("the IssueInstant %s is in the future", samlTime(issued))
	case v.now.Sub(issued) > maxSAMLAge:
		return SAMLSubject{}, fmt.Errorf("the IssueInstant %s is more than an hour ago", samlTime(issued))
	}
	subject := child(e, samlAssertion, "Subject")
	name := child(subject, samlAssertion, "NameID")
	if name == nil || name.Text() == "" {
		return SAMLSubject{}, errors.New("the Subject has no NameID")
	}
	var ends []time.Time
	for _, check := range []func(*etree.Element) ([]time.Time, error){v.confirmation, v.conditions, v.statements} {
		found, err := check(e)
		if err != nil {
			return SAMLSubject{}, err
		}
		ends = append(ends, found...)
	}
	return SAMLSubject{
		NameID:     name.Text(),
		Attributes: samlAttributes(e),
		Expires:    slices.MinFunc(ends, time.Time.Compare),
	}, nil
}

// confirmation checks that whoever bears the assertion may use it, and until when.
func (v samlVerifier) confirmation(assertion *etree.Element) ([]time.Time, error) {
	confirmations := children(child(assertion, samlAssertion, "Subject"), samlAssertion, "SubjectConfirmation")
	if len(confirmations) != 1 {
		return nil, fmt.Errorf("the Subject has %d SubjectConfirmations, not one", len(confirmations))
	}
	if method, _ := attribute(confirmations[0], "Method"); method != samlBearer {
		return nil, fmt.Errorf("the Method of the SubjectConfirmation is %q", method)
	}
	data := child(confirmations[0], samlAssertion, "SubjectConfirmationData")
	if _, ok := attribute(data, "NotBefore"); ok {
		return nil, errors.New("the SubjectConfirmationData has a NotBefore")
	}
	end, ok, err := v.end(data, "NotOnOrAfter")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("the SubjectConfirmationData has no NotOnOrAfter")
	}
	return []time.Time{end}, nil
}

// conditions checks for when and for whom the assertion is.
func (v samlVerifier) conditions(assertion *etree.Element) ([]time.Time, error) {
	conditions := child(assertion, samlAssertion, "Conditions")
	if conditions == nil {
		return nil, errors.New("the Conditions are missing")
	}
	start, ok, err := instant(conditions, "NotBefore")
	if err != nil {
		return nil, err
	}
	if ok && start.After(v.now) {
		return nil, fmt.Errorf("the NotBefore of the Conditions %s is in the future", samlTime(start))
	}
	end, ok, err := v.end(conditions, "NotOnOrAfter")
	if err != nil {
		return nil, err
	}
	restrictions := children(conditions, samlAssertion, "AudienceRestriction")
	if len(restrictions) == 0 {
		return nil, errors.New("the Conditions have no AudienceRestriction")
	}
	for _, restriction := range restrictions {
		var audiences []string
		for _, audience := range children(restriction, samlAssertion, "Audience") {
			audiences = append(audiences, audience.Text())
		}
		if !slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(v.Audiences, a) }) {
			return nil, fmt.Errorf("an AudienceRestriction is for %q", audiences)
		}
	}
	if !ok {
		return nil, nil
	}
	return []time.Time{end}, nil
}

// statements checks that somebody signed in, and is still signed in.
func (v samlVerifier) statements(assertion *etree.Element) ([]time.Time, error) {
	statements := children(assertion, samlAssertion, "AuthnStatement")
	if len(statements) == 0 {
		return nil, errors.New("the AuthnStatement is missing")
	}
	var ends []time.Time
	for _, statement := range statements {
		end, ok, err := v.end(statement, "SessionNotOnOrAfter")
		if err != nil {
			return nil, err
		}
		if ok {
			ends = append(ends, end)
		}
	}
	return ends, nil
}

// end reads an attribute that must be in the future if it is there.
func (v samlVerifier) end(e *etree.Element, name string) (time.Time, bool, error) {
	end, ok, err := instant(e, name)
	if err != nil || !ok {
		return time.Time{}, false, err
	}
	if !end.After(v.now) {
		return time.Time{}, false, fmt.Errorf("the %s %s of the %s has passed", name, samlTime(end), e.Tag)
	}
	return end, true, nil
}

// instant reads a time, if it is there.
func instant(e *etree.Element, name string) (time.Time, bool, error) {
	text, ok := attribute(e, name)
	if !ok {
		return time.Time{}, false, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("the %s %q is not a time", name, text)
	}
	return t, true, nil
}

// samlAttributes collects what the assertion says about the subject.
func samlAttributes(assertion *etree.Element) map[string][]string {
	attributes := map[string][]string{}
	for _, statement := range children(assertion, samlAssertion, "AttributeStatement") {
		for _, a := range children(statement, samlAssertion, "Attribute") {
			name, _ := attribute(a, "Name")
			for _, value := range children(a, samlAssertion, "AttributeValue") {
				attributes[name] = append(attributes[name], value.Text())
			}
		}
	}
	return attributes
}

// samlTime writes a time as SAML does, in UTC.
func samlTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
