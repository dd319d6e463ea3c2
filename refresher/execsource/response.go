package execsource

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// version is the only one of the protocol.
const version = 1

// maxTime is the last second of the year 9999. Beyond it time.Time's arithmetic overflows; a time
// in milliseconds is beyond it, too.
const maxTime = 253402300799

// A Response is the document that an executable prints: a token, or why there is none.
type Response struct {
	Token     refresher.Secret // a compact JWT, or a SAML response in base64; empty with a Failure
	TokenType string           // refresher.TypeJWT, TypeIDToken or TypeSAML2; empty with a Failure
	// Expires is when the token expires, in whole seconds; zero if the document does not say. It has to
	// say if an output file is configured: without, a token in the file could be used for ever.
	Expires time.Time
	Failure *Failure // nil if there is a token
}

// A Failure is why an executable has no token. Both texts are the executable's own, for people, and
// neither is empty.
type Failure struct {
	Code    string
	Message string
}

// document is a Response on the wire. Names and types are those that all libraries accept: Go's wants
// whole numbers, and those in Python, Java and Node take nothing for absent but absence.
type document struct {
	Version        int    `json:"version"`
	Success        bool   `json:"success"`
	TokenType      string `json:"token_type,omitempty"`
	IDToken        string `json:"id_token,omitempty"`
	SAMLResponse   string `json:"saml_response,omitempty"`
	ExpirationTime int64  `json:"expiration_time,omitempty"`
	Code           string `json:"code,omitempty"`
	Message        string `json:"message,omitempty"`
}

// Marshal returns the Response as one JSON object without a line feed. It contains the token. It is
// an error if libraries would refuse the document: of a Failure only that is written.
func (r Response) Marshal() ([]byte, error) {
	d := document{Version: version}
	if r.Failure != nil {
		d.Code, d.Message = r.Failure.Code, r.Failure.Message
		if d.Code == "" || d.Message == "" {
			return nil, errors.New("a failure needs both a code and a message")
		}
		return json.Marshal(d)
	}
	d.Success, d.TokenType = true, r.TokenType
	if r.Token == "" {
		return nil, errors.New("there is no token")
	}
	switch tokenField(r.TokenType) {
	case fieldIDToken:
		d.IDToken = r.Token.Reveal()
	case fieldSAMLResponse:
		d.SAMLResponse = r.Token.Reveal()
	default:
		return nil, fmt.Errorf("the protocol has no tokens of type %.80q", r.TokenType)
	}
	if !r.Expires.IsZero() {
		d.ExpirationTime = r.Expires.Unix()
		if d.ExpirationTime <= 0 || d.ExpirationTime > maxTime {
			return nil, errors.New("the token expires before 1970 or after 9999")
		}
	}
	return json.Marshal(d)
}

const (
	fieldIDToken      = "id_token"
	fieldSAMLResponse = "saml_response"
)

// tokenField names the member that holds a token of this type, "" if the protocol has no such type.
func tokenField(tokenType string) string {
	switch tokenType {
	case refresher.TypeJWT, refresher.TypeIDToken:
		return fieldIDToken
	case refresher.TypeSAML2:
		return fieldSAMLResponse
	}
	return ""
}

// SameKind reports whether the protocol shows tokens of both types in the same way, so that one may be
// called the other: a JWT is often called an ID token.
func SameKind(a, b string) bool { return tokenField(a) != "" && tokenField(a) == tokenField(b) }
