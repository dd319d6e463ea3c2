package cloudtest

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// IssuerOptions configure an [Issuer].
type IssuerOptions struct {
	// URL is the issuer: the claim "iss" of its tokens, byte for byte, and where its documents are.
	// It may have a path, and a trailing slash as those of AKS have. Required.
	URL string
	// Now is the issuer's clock; nil is time.Now.
	Now func() time.Time
	// Rand makes token ids; nil is crypto/rand.
	Rand io.Reader
}

// An Issuer mints service-account tokens and publishes the keys to verify them, as a Kubernetes
// API server does. Below the path of its URL it serves
//
//	/.well-known/openid-configuration   operation "discovery"
//	/openid/v1/jwks                     operation "jwks"
//
// (OpenID Connect Discovery 1.0; Kubernetes' service-account issuer discovery). It has an RS256 and
// an ES256 key. It is safe for concurrent use.
type Issuer struct {
	Faults
	url    string
	path   string // of url, without trailing slash
	now    func() time.Time
	chance *chance
	keys   *keyring
}

// NewIssuer returns an issuer with new keys. It panics if the URL is not absolute.
func NewIssuer(o IssuerOptions) *Issuer {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		panic("cloudtest: IssuerOptions.URL must be an absolute URL, not " + o.URL)
	}
	return &Issuer{
		url:    o.URL,
		path:   strings.TrimRight(u.Path, "/"),
		now:    clock(o.Now),
		chance: newChance(o.Rand),
		keys:   newKeyring(jose.RS256, jose.ES256),
	}
}

// URL is the issuer's name, as in the claim "iss".
func (i *Issuer) URL() string { return i.url }

// Rotate starts to sign with new keys, of new ids. The former ones stay published until [Issuer.Forget].
func (i *Issuer) Rotate() { i.keys.rotate() }

// Forget withdraws the keys of before the last [Issuer.Rotate]: tokens that they signed are refused
// from now on.
func (i *Issuer) Forget() { i.keys.forget() }

// ServeHTTP answers for discovery document and keys.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base := strings.TrimRight(i.url, "/")
	var operation, contentType string
	var document any
	switch r.URL.Path {
	case i.path + "/.well-known/openid-configuration":
		operation, contentType = "discovery", "application/json"
		document = discovery{
			Issuer:        i.url,
			JWKS:          base + "/openid/v1/jwks",
			ResponseTypes: []string{"id_token"},
			SubjectTypes:  []string{"public"},
			Algorithms:    []string{"RS256", "ES256"},
		}
	case i.path + "/openid/v1/jwks":
		operation, contentType = "jwks", "application/jwk-set+json"
	}
	if i.answers(w, r, operation, i.now, issuerWording) {
		return
	}
	switch {
	case operation == "":
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		if operation == "jwks" {
			document = i.keys.public()
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		writeJSON(w, contentType, http.StatusOK, document)
	}
}

// discovery is the part of the OpenID Connect discovery document that Kubernetes publishes.
type discovery struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// issuerWording is how an API server says that it has too much to do.
var issuerWording = wording{
	throttled: func(w http.ResponseWriter) {
		http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
	},
	contentType: "application/json",
	malformed:   `{"issuer":`,
}

// writeJSON answers with a document on one line.
func writeJSON(w http.ResponseWriter, contentType string, status int, document any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(mustJSON(document))
}
