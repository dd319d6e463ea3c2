package cloudtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// A keyring signs JWTs and publishes the public keys. Keys are made when first needed, because an
// RSA key takes a tenth of a second.
type keyring struct {
	algorithms []jose.SignatureAlgorithm // of the keys that are published

	mu      sync.Mutex
	current map[jose.SignatureAlgorithm]jose.JSONWebKey // guarded by mu
	old     []jose.JSONWebKey                           // guarded by mu; still published
}

func newKeyring(algorithms ...jose.SignatureAlgorithm) *keyring {
	return &keyring{algorithms: algorithms, current: map[jose.SignatureAlgorithm]jose.JSONWebKey{}}
}

// key returns the key that signs with an algorithm.
func (k *keyring) key(algorithm jose.SignatureAlgorithm) jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.locked(algorithm)
}

func (k *keyring) locked(algorithm jose.SignatureAlgorithm) jose.JSONWebKey {
	key, ok := k.current[algorithm]
	if !ok {
		key = newKey(algorithm)
		k.current[algorithm] = key
	}
	return key
}

// public returns all published keys, newest first.
func (k *keyring) public() jose.JSONWebKeySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, algorithm := range k.algorithms {
		key := k.locked(algorithm)
		set.Keys = append(set.Keys, key.Public())
	}
	for _, key := range slices.Backward(k.old) {
		set.Keys = append(set.Keys, key.Public())
	}
	return set
}

// rotate makes new keys; the former ones stay published.
func (k *keyring) rotate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, algorithm := range slices.Sorted(maps.Keys(k.current)) {
		k.old = append(k.old, k.current[algorithm])
	}
	clear(k.current)
}

// forget withdraws the former keys.
func (k *keyring) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.old = nil
}

// newKey makes a private key. Its id is the one Kubernetes gives: the base64url SHA-256 of the
// public key in PKIX form.
func newKey(algorithm jose.SignatureAlgorithm) jose.JSONWebKey {
	var private crypto.Signer
	var err error
	switch algorithm {
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic(fmt.Sprintf("cloudtest: %s key: %v", algorithm, err))
	}
	id := sha256.Sum256(pkix(private.Public()))
	return jose.JSONWebKey{
		Key:       private,
		KeyID:     base64.RawURLEncoding.EncodeToString(id[:]),
		Algorithm: string(algorithm),
		Use:       "sig",
	}
}

func pkix(public crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(fmt.Sprintf("cloudtest: public key: %v", err))
	}
	return der
}

// sign makes a compact JWT. Like Kubernetes it writes no "typ" into the header.
func sign(algorithm jose.SignatureAlgorithm, key jose.JSONWebKey, claims any) string {
	key.Algorithm = string(algorithm)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, nil)
	if err != nil {
		panic(fmt.Sprintf("cloudtest: sign with %s: %v", algorithm, err))
	}
	signed, err := signer.Sign(mustJSON(claims))
	if err != nil {
		panic(fmt.Sprintf("cloudtest: sign with %s: %v", algorithm, err))
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		panic(fmt.Sprintf("cloudtest: sign with %s: %v", algorithm, err))
	}
	return text
}

// unsigned makes the JWT of algorithm "none" that a careless verifier lets pass.
func unsigned(claims any) string {
	encode := base64.RawURLEncoding.EncodeToString
	return strings.Join([]string{encode([]byte(`{"alg":"none"}`)), encode(mustJSON(claims)), ""}, ".")
}

// confused is the key for HS256 that makes a verifier which trusts the token's "alg" accept a
// forgery: the text of the public RSA key, which everybody knows.
func confused(key jose.JSONWebKey) jose.JSONWebKey {
	public := key.Public()
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix(public.Key)})
	return jose.JSONWebKey{Key: text, KeyID: key.KeyID}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cloudtest: %v", err))
	}
	return text
}
