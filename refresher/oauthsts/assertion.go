package oauthsts

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	// assertionLife is from iat to exp: endpoints remember each jti for that long, and Keycloak accepts
	// no more than a minute.
	assertionLife = time.Minute
	// assertionLead puts iat into the past, for endpoints whose clock is a little behind ours and that
	// allow for nothing. Greater differences are known from their answers, and are in the time already.
	assertionLead = 10 * time.Second
)

// assertion is a JWT by which the client proves who it is (RFC 7523 section 3), for one request at
// the endpoint's time now.
func (x *Exchanger) assertion(now time.Time) (refresher.Secret, error) {
	key, err := readKey(x.o.PrivateKeyFile, x.o.SigningAlgorithm)
	if err != nil {
		return "", unusable("private key file", x.o.PrivateKeyFile, err)
	}
	audience := x.o.AssertionAudience
	if audience == "" {
		audience = x.o.TokenURL
	}
	issued := now.Add(-assertionLead)
	type header struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		KeyID     string `json:"kid,omitempty"`
	}
	type claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}
	signed := segment(header{Algorithm: key.algorithm, Type: "JWT", KeyID: x.o.KeyID}) + "." + segment(claims{
		Issuer:   x.o.ClientID,
		Subject:  x.o.ClientID,
		Audience: audience,
		ID:       rand.Text(),
		Issued:   issued.Unix(),
		Expires:  issued.Add(assertionLife).Unix(),
	})
	signature, err := key.sign([]byte(signed))
	if err != nil {
		return "", unusable("private key file", x.o.PrivateKeyFile, err)
	}
	return refresher.Secret(signed + "." + base64.RawURLEncoding.EncodeToString(signature)), nil
}

// segment is a part of a JWT: an object of strings and numbers, which always has a JSON form.
func segment(object any) string {
	text, _ := json.Marshal(object)
	return base64.RawURLEncoding.EncodeToString(text)
}
