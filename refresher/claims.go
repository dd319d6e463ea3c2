package refresher

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Claims are what wisp reads in a JWT (RFC 7519). The signature is not looked at: verifying it is
// the cloud's job, and wisp grants nothing on the strength of a claim.
type Claims struct {
	Algorithm string // header "alg"
	KeyID     string // header "kid"
	Issuer    string
	Subject   string
	Audience  []string  // one or several: RFC 7519 section 4.1.3 allows both
	Issued    time.Time // zero if the token does not say
	Expires   time.Time
	// Kubernetes is the private claim of bound service-account tokens; zero for other tokens.
	Kubernetes Kubernetes
}

// Kubernetes is the claim "kubernetes.io" of a bound service-account token (KEP-1205).
type Kubernetes struct {
	Namespace      string
	ServiceAccount string
	Pod            string
}

// maxNumericDate bounds exp and iat: the year 9999. Beyond it time.Time's arithmetic overflows.
const maxNumericDate = 253402300799

// ParseClaims reads a compact JWT: three base64url segments without padding, a JSON object each
// for header and claims, an algorithm other than "none", and a numeric "exp". Names are compared
// exactly, as RFC 7519 section 4 wants; of a repeated name the last one counts. Errors never hold
// any part of the token.
func ParseClaims(raw Secret) (Claims, error) {
	text := raw.Reveal()
	if strings.ContainsAny(text, " \t\r\n") {
		// Package base64 skips line breaks, so it would take a token with something on the next line.
		return Claims{}, errors.New("white space inside the JWT")
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Claims{}, fmt.Errorf("a JWT has 3 dot-separated parts, this has %d", len(parts))
	}

	var c Claims
	header, err := decodeObject(parts[0])
	if err == nil {
		err = cmp.Or(
			member(header, "alg", &c.Algorithm),
			member(header, "kid", &c.KeyID))
	}
	if err != nil {
		return Claims{}, fmt.Errorf("JWT header: %w", err)
	}
	if c.Algorithm == "" || strings.EqualFold(c.Algorithm, "none") {
		return Claims{}, errors.New("JWT header: alg is missing or none: the token is not signed")
	}

	claims, err := decodeObject(parts[1])
	if err == nil {
		err = c.fill(claims)
	}
	if err != nil {
		return Claims{}, fmt.Errorf("JWT claims: %w", err)
	}

	if parts[2] == "" {
		return Claims{}, errors.New("JWT signature is empty")
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
		return Claims{}, errors.New("JWT signature is not base64url without padding")
	}
	return c, nil
}

// fill takes over the members of a claims set.
func (c *Claims) fill(set map[string]json.RawMessage) error {
	var issued, expires *float64
	var aud audience
	err := cmp.Or(
		member(set, "iss", &c.Issuer),
		member(set, "sub", &c.Subject),
		member(set, "aud", &aud),
		member(set, "iat", &issued),
		member(set, "exp", &expires))
	if err != nil {
		return err
	}
	c.Audience = aud
	if expires == nil {
		return errors.New("exp is missing")
	}
	if c.Expires, err = numericDate(*expires); err != nil {
		return fmt.Errorf("exp: %w", err)
	}
	if issued != nil {
		if c.Issued, err = numericDate(*issued); err != nil {
			return fmt.Errorf("iat: %w", err)
		}
	}
	c.Kubernetes = kubernetes(set["kubernetes.io"])
	return nil
}

// kubernetes reads the private claim. It is for people to look at: one of another shape, which any
// issuer may use, is no reason to refuse a token that the cloud would take.
func kubernetes(text json.RawMessage) Kubernetes {
	var claim struct {
		Namespace      string `json:"namespace"`
		ServiceAccount struct {
			Name string `json:"name"`
		} `json:"serviceaccount"`
		Pod struct {
			Name string `json:"name"`
		} `json:"pod"`
	}
	if json.Unmarshal(text, &claim) != nil {
		return Kubernetes{}
	}
	return Kubernetes{
		Namespace:      claim.Namespace,
		ServiceAccount: claim.ServiceAccount.Name,
		Pod:            claim.Pod.Name,
	}
}

// decodeObject decodes one base64url segment that holds exactly one JSON object.
func decodeObject(segment string) (map[string]json.RawMessage, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, errors.New("not base64url without padding")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return nil, errors.New("not a JSON object")
	}
	var set map[string]json.RawMessage
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("not valid JSON") // encoding/json's own error can quote the input
	}
	return set, nil
}

// member decodes set[name] into *into, which stays as it is if there is none.
func member(set map[string]json.RawMessage, name string, into any) error {
	text, ok := set[name]
	if ok && json.Unmarshal(text, into) != nil {
		return fmt.Errorf("%s has the wrong JSON type", name)
	}
	return nil
}

func numericDate(seconds float64) (time.Time, error) {
	if math.IsNaN(seconds) || seconds < 0 || seconds > maxNumericDate {
		return time.Time{}, errors.New("not a time between 1970 and 9999")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// audience is a string or an array of strings.
type audience []string

func (a *audience) UnmarshalJSON(text []byte) error {
	var many []string
	if json.Unmarshal(text, &many) == nil {
		*a = many
		return nil
	}
	var one string
	if err := json.Unmarshal(text, &one); err != nil {
		return err
	}
	*a = audience{one}
	return nil
}
