package endpoints

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/wisp-sidecar/wisp/refresher"
)

// Matches compares what a caller sent with the secret in a time that depends on neither: both are
// hashed first, so not even the length shows. An empty secret matches nothing.
func Matches(sent string, secret refresher.Secret) bool {
	a, b := sha256.Sum256([]byte(sent)), sha256.Sum256([]byte(secret.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && secret != ""
}
