package source

import (
	"bytes"
	"errors"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// documentTypes are the types of the tokens that a document can hold.
var documentTypes = []string{refresher.TypeJWT, refresher.TypeIDToken, refresher.TypeSAML2, refresher.TypeAccessToken}

// token finds the one token that text holds and checks its form. The claims are those of a JWT, else
// zero. Errors never quote text.
func (f Format) token(text []byte, tokenType string) (refresher.Token, refresher.Claims, error) {
	if err := plain(text); err != nil {
		return refresher.Token{}, refresher.Claims{}, err
	}
	raw, err := f.extract(text)
	if err != nil {
		return refresher.Token{}, refresher.Claims{}, err
	}
	return parse(raw, tokenType)
}

// parse checks the form of a token of a type, and finds out how long it is good for.
func parse(raw refresher.Secret, tokenType string) (refresher.Token, refresher.Claims, error) {
	token := refresher.Token{Raw: raw, Type: tokenType}
	var claims refresher.Claims
	var err error
	switch {
	case isJWT(tokenType):
		if claims, err = refresher.ParseClaims(raw); err != nil {
			return refresher.Token{}, refresher.Claims{}, err
		}
	case tokenType == refresher.TypeSAML2:
		validity, err := parseSAML2(raw)
		if err != nil {
			return refresher.Token{}, refresher.Claims{}, err
		}
		claims.Issued, claims.Expires = validity.issued, validity.expires
	default:
		// An access token has no form that others than its issuer may rely on (RFC 6749 section 1.4).
		// Many are JWTs all the same, and then say how long they live.
		if raw == "" || strings.ContainsAny(raw.Reveal(), " \t\r\n") {
			return refresher.Token{}, refresher.Claims{}, errors.New("empty, or with white space inside")
		}
		claims, _ = refresher.ParseClaims(raw)
	}
	token.Issued, token.Expires = claims.Issued, claims.Expires
	return token, claims, nil
}

// isJWT reports whether a token of this type has to be a JWT.
func isJWT(tokenType string) bool {
	return tokenType == refresher.TypeJWT || tokenType == refresher.TypeIDToken
}

// trim removes surrounding ASCII white space: editors and shells leave a line feed, and a cloud
// that gets it refuses the token.
func trim(text []byte) []byte { return bytes.Trim(text, " \t\r\n\v\f") }

// plain refuses what no token can be: nothing, binary data, and text in an encoding that Windows
// tools like to write. Errors never quote text.
func plain(text []byte) error {
	switch {
	case len(trim(text)) == 0:
		return errors.New("empty")
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return errors.New("begins with a UTF-8 byte order mark")
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return errors.New("UTF-16")
	case bytes.IndexByte(text, 0) >= 0:
		return errors.New("binary data or UTF-16")
	}
	return nil
}
