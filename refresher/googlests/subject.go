package googlests

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// subjectType is the token type that the token service is told.
func (x *Exchanger) subjectType(subject refresher.Token) string {
	return cmp.Or(x.o.SubjectTokenType, subject.Type, refresher.TypeJWT)
}

// grantRules say what invalid_grant means, which is that the subject token itself was refused.
func grantRules(subjectType string) []tokenRule {
	switch subjectType {
	case refresher.TypeSAML2:
		return samlRules
	case refresher.TypeAWSRequest:
		return awsRules
	}
	return jwtRules
}

var jwtRules = []tokenRule{
	{"invalid_grant", regexp.MustCompile(`(?i)expir|stale|\b(iat|nbf)\b|issued at|not yet valid|in the future`), refresher.SubjectToken,
		"the token is outside its time: check that the source renews it, and the clock of the issuer"},
	{"invalid_grant", regexp.MustCompile(`(?i)\berror connecting\b|\b(fetch|retriev|download)`), refresher.Transient,
		"Google must be able to read the issuer's discovery document and keys; if it cannot, upload the keys to the provider"},
	{"invalid_grant", regexp.MustCompile(`(?i)\baudience\b`), refresher.Denied,
		"the source must give a token for an audience that the provider allows"},
	// Above all an unknown key id, while the issuer changes keys.
	{"invalid_grant", nil, refresher.SubjectToken,
		"compare the provider's issuer and keys with the token"},
}

var samlRules = []tokenRule{
	{"invalid_grant", regexp.MustCompile(`(?i)expir|stale|passed|in the past|in the future|\bago\b|not yet valid|NotOnOrAfter`), refresher.SubjectToken,
		"the assertion is outside its time: check that the source renews it, and the clock of the identity provider"},
	{"invalid_grant", regexp.MustCompile(`(?i)audience`), refresher.Denied,
		"the assertion is for somebody else"},
	{"invalid_grant", nil, refresher.SubjectToken,
		"compare the provider's entity id and certificates with the assertion"},
}

var awsRules = []tokenRule{
	{"invalid_grant", regexp.MustCompile(`(?i)\berror connecting\b|timed out`), refresher.Transient,
		"Google could not ask AWS whose request this is"},
	{"invalid_grant", regexp.MustCompile(`(?i)target-resource`), refresher.Denied,
		"the request was signed for another provider"},
	{"invalid_grant", regexp.MustCompile(`(?i)\baccount\b`), refresher.Denied,
		"the keys are of another AWS account"},
	{"invalid_grant", regexp.MustCompile(`(?i)expir|x-amz-date|\btime\b|minutes`), refresher.SubjectToken,
		"the signature counts for 15 minutes, and no longer than its keys live: check the clock of this machine, and that the keys are renewed"},
	{"invalid_grant", nil, refresher.SubjectToken,
		"AWS does not accept the signature: check that the keys are still valid, and the clock of this machine"},
}

// describe shows what the cloud compares. Claims are no secret, only the signed whole is; they are
// quoted because their text is the issuer's.
func (x *Exchanger) describe(subject refresher.Token) string {
	switch x.subjectType(subject) {
	case refresher.TypeSAML2:
		return "of a SAML assertion, the Issuer must be the provider's entity id and every AudienceRestriction must name the provider"
	case refresher.TypeAWSRequest:
		return "of a signed AWS request, the account must be the provider's, and the provider's condition must accept the role"
	}
	claims, err := refresher.ParseClaims(subject.Raw)
	if err != nil {
		return fmt.Sprintf("the token is not a JWT: %v", err)
	}
	return fmt.Sprintf("the token says iss=%.200q sub=%.200q aud=%.200q%s",
		claims.Issuer, claims.Subject, strings.Join(claims.Audience, " "), objections(claims))
}

// maxTokenLife is how long the token service lets a JWT live.
const maxTokenLife = 24 * time.Hour

// objections are what Google has against any token like this, whatever the provider.
// https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers
func objections(claims refresher.Claims) string {
	var text string
	if claims.Algorithm != "RS256" && claims.Algorithm != "ES256" {
		text += fmt.Sprintf("; it is signed with %.20q, Google takes RS256 and ES256 only", claims.Algorithm)
	}
	switch life := claims.Expires.Sub(claims.Issued); {
	case claims.Issued.IsZero():
		text += "; it does not say when it was issued (iat), which Google requires"
	case life > maxTokenLife:
		text += fmt.Sprintf("; it lives for %v, Google takes at most %v", life, maxTokenLife)
	}
	return text
}

// principal says what this workload's name in an IAM policy is, or how it is made up. Nearly all
// providers map google.subject to the subject of the token.
func (x *Exchanger) principal(subject refresher.Token) string {
	if pool := FleetPool(x.o.Audience); pool != "" {
		claims, _ := refresher.ParseClaims(subject.Raw)
		account := strings.Replace(strings.TrimPrefix(claims.Subject, "system:serviceaccount:"), ":", "/", 1)
		return fmt.Sprintf("it is %.400q", "serviceAccount:"+pool+"["+account+"]")
	}
	pool, _, _ := strings.Cut(x.o.Audience, "/providers/")
	prefix := "principal:" + pool + "/subject/"
	switch x.subjectType(subject) {
	case refresher.TypeSAML2:
		return "it is " + prefix + " and what the provider maps to google.subject, commonly the assertion's NameID"
	case refresher.TypeAWSRequest:
		return "it is " + prefix + " and what the provider maps to google.subject, by default the ARN of the role's session"
	}
	claims, err := refresher.ParseClaims(subject.Raw)
	if err != nil || claims.Subject == "" {
		return x.describe(subject)
	}
	return fmt.Sprintf("it is %.400q", prefix+claims.Subject)
}
