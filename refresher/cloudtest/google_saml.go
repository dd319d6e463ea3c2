package cloudtest

import (
	"slices"
	"time"
)

// typeSAML2 is the token type of a SAML 2.0 Response or Assertion (RFC 8693 section 3).
const typeSAML2 = "urn:ietf:params:oauth:token-type:saml2"

// verifySAML checks a SAML subject token. The claims are named as in Google's attribute mappings.
func (g *Google) verifySAML(token string, p PoolProvider) (map[string]any, time.Time, *oauthError) {
	subject, err := VerifySAML(token, SAMLTrust{
		EntityID:     p.SAMLEntityID,
		Certificates: p.SAMLCertificates,
		Audiences:    []string{"https://iam.googleapis.com/" + p.Name, "//iam.googleapis.com/" + p.Name},
		Now:          g.now,
	})
	if err != nil {
		return nil, time.Time{}, &oauthError{"invalid_grant", "Invalid SAML response: " + err.Error() + "."}
	}
	return map[string]any{"subject": subject.NameID, "attributes": subject.Attributes}, subject.Expires, nil
}

// trustsOne reports whether it is told whom to trust, once.
func (p PoolProvider) trustsOne() bool {
	given := slices.DeleteFunc([]string{p.Issuer, p.AWSAccount, p.SAMLEntityID}, func(s string) bool { return s == "" })
	return len(given) == 1
}

// takes reports whether a provider is for subject tokens of a type.
func (p PoolProvider) takes(tokenType string) bool {
	switch {
	case p.AWSAccount != "":
		return tokenType == typeAWSRequest
	case p.SAMLEntityID != "":
		return tokenType == typeSAML2
	}
	return tokenType == typeJWT || tokenType == typeIDToken
}
