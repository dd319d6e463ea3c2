package oauthsts

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// signingAlgorithms are those that an assertion can be signed with (RFC 7518 section 3.1, RFC 8037).
var signingAlgorithms = []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}

const minRSABits = 2048 // RFC 7518 sections 3.3 and 3.5

// A signingKey is a private key and the algorithm to use it with.
type signingKey struct {
	private   crypto.Signer
	algorithm string
}

// readKey reads the private key in a PEM file. algorithm is the one to use, or empty for the key's
// usual one. Errors do not name the file, and hold nothing of it.
func readKey(path, algorithm string) (signingKey, error) {
	text, err := readFile(path)
	if err != nil {
		return signingKey{}, err
	}
	private, err := parseKey(text)
	if err != nil {
		return signingKey{}, err
	}
	possible, err := algorithmsFor(private)
	if err != nil {
		return signingKey{}, err
	}
	if algorithm == "" {
		algorithm = possible[0]
	}
	if !slices.Contains(possible, algorithm) {
		return signingKey{}, fmt.Errorf("a key for %s, not for the signingAlgorithm %s", strings.Join(possible, " or "), algorithm)
	}
	return signingKey{private: private, algorithm: algorithm}, nil
}

// parseKey finds the one private key among the blocks of a PEM file. Certificates and the parameters
// that OpenSSL writes before a key are passed over.
func parseKey(text []byte) (crypto.Signer, error) {
	var found crypto.Signer
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if found != nil {
			return nil, errors.New("more than one private key")
		}
		private, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		found = private
	}
	if found == nil {
		return nil, errors.New("no private key in PEM form (-----BEGIN PRIVATE KEY-----)")
	}
	return found, nil
}

func parseBlock(block *pem.Block) (crypto.Signer, error) {
	var private any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errors.New("an encrypted key: decrypt it (openssl pkey), and protect the file instead")
	case block.Type == "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, errors.New("a key in a form that is not supported: convert it to PKCS#8 (openssl pkey)")
	}
	if err != nil {
		return nil, fmt.Errorf("its %s block holds no valid key of a supported kind", block.Type)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("a key for key agreement, which cannot sign")
	}
	return signer, nil
}

// algorithmsFor lists the algorithms that a key can be used with, the usual one first.
func algorithmsFor(private crypto.Signer) ([]string, error) {
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits: at least %d are needed", bits, minRSABits)
		}
		return []string{"RS256", "PS256"}, nil
	case *ecdsa.PrivateKey:
		switch key.Curve {
		case elliptic.P256():
			return []string{"ES256"}, nil
		case elliptic.P384():
			return []string{"ES384"}, nil
		case elliptic.P521():
			return []string{"ES512"}, nil
		}
		return nil, errors.New("a key on a curve other than P-256, P-384 and P-521")
	case ed25519.PrivateKey:
		return []string{"EdDSA"}, nil
	}
	return nil, errors.New("a key of a kind that is not supported")
}

// hashes are those of the algorithms; EdDSA takes the message itself.
var hashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "PS256": crypto.SHA256,
	"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
}

// sign returns the signature of a JWS (RFC 7518 section 3, RFC 8037 section 3.1).
func (k signingKey) sign(message []byte) ([]byte, error) {
	digest, hash := message, hashes[k.algorithm]
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	if key, ok := k.private.(*ecdsa.PrivateKey); ok {
		return signECDSA(key, digest)
	}
	var how crypto.SignerOpts = hash
	if k.algorithm == "PS256" {
		how = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	signature, err := k.private.Sign(rand.Reader, digest, how)
	if err != nil {
		return nil, errors.New("the key cannot sign")
	}
	return signature, nil
}

// signECDSA signs in the form of JWS, which is not that of X.509: r and s one after the other, each
// as long as the curve's field (RFC 7518 section 3.4).
func signECDSA(key *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		return nil, errors.New("the key cannot sign")
	}
	size := (key.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature, nil
}
