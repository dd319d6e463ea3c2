package awssts

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	maxSessionName = 64
	// anonymous is the session name for a token that names nobody.
	anonymous = "wisp"
)

var notInSessionName = regexp.MustCompile(`[^A-Za-z0-9_+=,.@-]`)

// sessionName makes a RoleSessionName from a token's claims: "<namespace>-<serviceaccount>-<pod>",
// or for other tokens the subject. CloudTrail shows it, so it says who called; and it must not
// change while a Pod lives, because MSK drops connections whose session name changes.
func sessionName(claims refresher.Claims) string {
	name := claims.Subject
	if k := claims.Kubernetes; k.Namespace != "" && k.ServiceAccount != "" {
		name = k.Namespace + "-" + k.ServiceAccount
		if k.Pod != "" { // absent from tokens that are not bound to a Pod
			name += "-" + k.Pod
		}
	}
	clean := notInSessionName.ReplaceAllLiteralString(strings.ToValidUTF8(name, "-"), "-")
	switch {
	case clean == "":
		return anonymous
	case len(clean) < 2: // the shortest that STS accepts
		return anonymous + "-" + clean
	case len(clean) <= maxSessionName:
		return clean
	}
	// The hash keeps apart names that differ only at their end, as those of a Deployment's Pods do.
	sum := sha256.Sum256([]byte(name))
	return clean[:55] + "-" + hex.EncodeToString(sum[:4])
}
