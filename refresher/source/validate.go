package source

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

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

// checkSAML2 looks whether raw can be a SAML 2 assertion in base64, of either alphabet, padded or
// not (RFC 8693 section 3 wants base64url, identity providers write what they like). The assertion is
// an XML document: the closing bracket tells a whole one from one that is still being written.
// Errors never quote raw.
func checkSAML2(raw refresher.Secret) error {
	text := raw.Reveal()
	if strings.ContainsAny(text, " \t\r\n") {
		return errors.New("white space inside the SAML assertion")
	}
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	xml, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return errors.New("SAML assertion: not base64")
	}
	xml = trim(xml)
	if !bytes.HasPrefix(xml, []byte("<")) || !bytes.HasSuffix(xml, []byte(">")) {
		return errors.New("SAML assertion: not a whole XML document")
	}
	return nil
}
