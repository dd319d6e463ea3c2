package cloudtest

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TokenOptions say what an [Issuer] puts into a token. The zero value gives a good token of one
// hour for the account "default" in the namespace "default", without an audience. The second half of
// the fields breaks the token in one way each.
type TokenOptions struct {
	Namespace      string        // default "default"
	ServiceAccount string        // default "default"
	Pod            string        // name of the Pod the token is bound to; empty: not bound
	Node           string        // name of the node the Pod runs on; empty: not told
	Audience       []string      // always written as an array, as Kubernetes does
	Lifetime       time.Duration // from iat to exp; default 1 h; may be negative
	Issued         time.Time     // iat and nbf; zero is now
	Algorithm      string        // RS256 (default) or ES256; see also below

	// Algorithm can also be one that no cloud takes: RS384, RS512, PS256 (signed properly), HS256
	// (signed with the public key as the secret) and none.

	OmitKeyID bool   // leave "kid" out of the header
	KeyID     string // instead of the right "kid"
	WrongKey  bool   // sign with a key that the issuer does not publish, under the right "kid"
	// Claims are set last: they replace what is there, and a nil value removes the claim.
	Claims map[string]any
}

// Mint returns a compact JWT with the claims of a bound service-account token. It panics for an
// algorithm it does not know.
func (i *Issuer) Mint(o TokenOptions) string {
	algorithm := jose.SignatureAlgorithm(cmp.Or(o.Algorithm, "RS256"))
	claims := i.claims(o)
	var key jose.JSONWebKey
	switch algorithm {
	case "none":
		return unsigned(claims)
	case jose.RS256, jose.ES256:
		key = i.keys.key(algorithm)
	case jose.RS384, jose.RS512, jose.PS256:
		key = i.keys.key(jose.RS256)
	case jose.HS256:
		key = confused(i.keys.key(jose.RS256))
	default:
		panic("cloudtest: TokenOptions.Algorithm: unknown: " + o.Algorithm)
	}
	if o.WrongKey {
		right := key.KeyID
		key = newKey(algorithm)
		key.KeyID = right
	}
	key.KeyID = cmp.Or(o.KeyID, key.KeyID)
	if o.OmitKeyID {
		key.KeyID = ""
	}
	return sign(algorithm, key, claims)
}

func (i *Issuer) claims(o TokenOptions) map[string]any {
	namespace := cmp.Or(o.Namespace, "default")
	account := cmp.Or(o.ServiceAccount, "default")
	issued := o.Issued
	if issued.IsZero() {
		issued = i.now()
	}
	bound := map[string]any{
		"namespace":      namespace,
		"serviceaccount": object("serviceaccount", namespace, account),
	}
	if o.Pod != "" {
		bound["pod"] = object("pod", namespace, o.Pod)
	}
	if o.Node != "" {
		bound["node"] = object("node", "", o.Node)
	}
	claims := map[string]any{
		"iss":           i.url,
		"sub":           "system:serviceaccount:" + namespace + ":" + account,
		"aud":           append([]string{}, o.Audience...),
		"iat":           issued.Unix(),
		"nbf":           issued.Unix(),
		"exp":           issued.Add(cmp.Or(o.Lifetime, time.Hour)).Unix(),
		"jti":           i.chance.uuid(),
		"kubernetes.io": bound,
	}
	maps.Copy(claims, o.Claims)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// object names an API object in the claim "kubernetes.io". Its uid depends on nothing but the
// name, so that each token of a Pod has the same.
func object(kind, namespace, name string) map[string]string {
	sum := sha256.Sum256([]byte(kind + "/" + namespace + "/" + name))
	return map[string]string{"name": name, "uid": uuid([16]byte(sum[:16]))}
}
