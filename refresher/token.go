package refresher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Token type URIs of RFC 8693 section 3, and Google's one for signed AWS requests. They name both
// what a [Token] is and what a [Bearer] is.
const (
	TypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	TypeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	TypeSAML2       = "urn:ietf:params:oauth:token-type:saml2"
	TypeAWSRequest  = "urn:ietf:params:aws:token-type:aws4_request"
)

// A Token is a subject token (RFC 8693 section 2.1): what a workload shows to prove who it is.
type Token struct {
	Raw     Secret    // compact JWT, SAML assertion, or signed request; no surrounding white space
	Type    string    // RFC 8693 token type URI
	Issued  time.Time // zero if the token does not say
	Expires time.Time // zero if the token does not say
}

// Fingerprint names the token in logs without showing it: the first 8 hex digits of its SHA-256.
func (t Token) Fingerprint() string {
	sum := sha256.Sum256([]byte(t.Raw.Reveal()))
	return hex.EncodeToString(sum[:4])
}

// A Source yields the current subject token. Token is called for every exchange and must not
// return a token it knows to be malformed: an error keeps the exchange from being tried. Errors
// should be an [*Error] of class [SubjectToken]. It must be safe for concurrent use.
type Source interface {
	Token(ctx context.Context) (Token, error)
}

// A Notifier is a [Source] that learns by itself of a new token. Changed is level-triggered: at
// most one value is pending, and it is never closed. It has one receiver, the [Identity].
type Notifier interface {
	Changed() <-chan struct{}
}

// A Runner is a [Source] that needs a goroutine while its [Identity] runs: to watch a file, say.
// Run blocks until ctx ends; it returns an error only for what makes the source useless for good.
type Runner interface {
	Run(ctx context.Context) error
}
