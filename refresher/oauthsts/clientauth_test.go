package oauthsts_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/oauthsts"
)

// keys are made once, because RSA keys take time.
type keys struct {
	rsa     *rsa.PrivateKey
	p256    *ecdsa.PrivateKey
	p384    *ecdsa.PrivateKey
	p521    *ecdsa.PrivateKey
	ed25519 ed25519.PrivateKey
}

var testKeys = sync.OnceValue(func() keys {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var k keys
	var err error
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.p256, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.p384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	k.p521, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(err)
	_, k.ed25519, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func pkcs1(key *rsa.PrivateKey) string {
	return block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func sec1(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("EC PRIVATE KEY", der)
}

func public(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return block("PUBLIC KEY", der)
}

// TestAssertionsVerify has another implementation, go-jose, check the signature of each kind of key in
// each form of file. The signatures of ECDSA vary in how long their numbers are, hence the rounds.
func TestAssertionsVerify(t *testing.T) {
	k := testKeys()
	tests := []struct {
		name, file, algorithm string
		key                   crypto.Signer
		want                  jose.SignatureAlgorithm
	}{
		{"RSA in PKCS#8", pkcs8(t, k.rsa), "", k.rsa, jose.RS256},
		{"RSA in PKCS#1", pkcs1(k.rsa), "RS256", k.rsa, jose.RS256},
		{"RSA for PS256", pkcs1(k.rsa), "PS256", k.rsa, jose.PS256},
		{"P-256 in PKCS#8", pkcs8(t, k.p256), "", k.p256, jose.ES256},
		{"P-256 in SEC 1", sec1(t, k.p256), "ES256", k.p256, jose.ES256},
		{"P-256 as OpenSSL writes it", block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + sec1(t, k.p256), "", k.p256, jose.ES256},
		{"P-384", sec1(t, k.p384), "ES384", k.p384, jose.ES384},
		{"P-521", pkcs8(t, k.p521), "", k.p521, jose.ES512},
		{"Ed25519", pkcs8(t, k.ed25519), "EdDSA", k.ed25519, jose.EdDSA},
		{"a key with its certificate and text around", "Key of wisp\n" + block("CERTIFICATE", []byte("x")) + pkcs8(t, k.ed25519) + "end", "", k.ed25519, jose.EdDSA},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			write(t, path, test.file)
			e := &endpoint{body: answered}
			x := exchanger(t, e, func(o *options) {
				o.ClientID, o.PrivateKeyFile, o.SigningAlgorithm = "wisp", path, test.algorithm
			})
			for range 20 {
				if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range e.requests {
				signed, err := jose.ParseSignedCompact(r.form.Get("client_assertion"), []jose.SignatureAlgorithm{test.want})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := signed.Verify(test.key.Public()); err != nil {
					t.Fatal(err)
				}
				if test.want == jose.PS256 {
					checkSalt(t, k.rsa, r.form.Get("client_assertion"))
				}
			}
		})
	}
}

// checkSalt checks what go-jose lets pass: RFC 7518 section 3.5 wants a salt as long as the hash.
func checkSalt(t *testing.T, key *rsa.PrivateKey, assertion string) {
	t.Helper()
	dot := strings.LastIndex(assertion, ".")
	signature, err := base64.RawURLEncoding.DecodeString(assertion[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(assertion[:dot]))
	if err := rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: len(digest)}); err != nil {
		t.Error(err)
	}
}

// TestKeyFiles has one case for each way in which a key can be bad. Their texts are in
// testdata/keyfiles.golden.
func TestKeyFiles(t *testing.T) {
	k := testKeys()
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(t, k.p256)
	encryptedPKCS1 := string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x"),
	}))
	files := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	tests := []struct {
		name      string
		make      func(path string) error
		algorithm string
	}{
		{"missing", func(string) error { return nil }, ""},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, ""},
		{"a FIFO that nobody writes to", func(path string) error { return syscall.Mkfifo(path, 0o600) }, ""},
		{"a symbolic link to itself", func(path string) error { return os.Symlink(path, path) }, ""},
		{"empty", files(""), ""},
		{"too long", files(good + strings.Repeat("\n", 64<<10)), ""},
		{"not PEM", files("key"), ""},
		{"the DER inside", func(path string) error {
			b, _ := pem.Decode([]byte(good))
			return os.WriteFile(path, b.Bytes, 0o600)
		}, ""},
		{"half of it", files(good[:len(good)/2]), ""},
		{"the public key", files(public(t, k.p256)), ""},
		{"a certificate alone", files(block("CERTIFICATE", []byte("x"))), ""},
		{"two keys", files(good + pkcs1(k.rsa)), ""},
		{"encrypted PKCS#8", files(block("ENCRYPTED PRIVATE KEY", []byte("x"))), ""},
		{"encrypted PKCS#1", files(encryptedPKCS1), ""},
		{"an OpenSSH key", files(block("OPENSSH PRIVATE KEY", []byte("x"))), ""},
		{"PKCS#8 of garbage", files(block("PRIVATE KEY", []byte("x"))), ""},
		{"PKCS#1 of garbage", files(block("RSA PRIVATE KEY", []byte("x"))), ""},
		{"SEC 1 of garbage", files(block("EC PRIVATE KEY", []byte("x"))), ""},
		{"PKCS#8 called PKCS#1", files(strings.ReplaceAll(good, "PRIVATE KEY", "RSA PRIVATE KEY")), ""},
		{"RSA of 1024 bits", files(pkcs8(t, short)), ""},
		{"P-224", files(pkcs8(t, p224)), ""},
		{"X25519", files(pkcs8(t, x25519)), ""},
		{"RSA for ES256", files(pkcs1(k.rsa)), "ES256"},
		{"P-256 for RS256", files(good), "RS256"},
		{"P-256 for ES384", files(good), "ES384"},
		{"Ed25519 for ES256", files(pkcs8(t, k.ed25519)), "ES256"},
	}
	var said strings.Builder
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			if err := test.make(path); err != nil {
				t.Fatal(err)
			}
			e := &endpoint{body: answered}
			_, err := exchanger(t, e, func(o *options) {
				o.ClientID, o.PrivateKeyFile, o.SigningAlgorithm = "wisp", path, test.algorithm
			}).Exchange(t.Context(), subject, refresher.Target{})
			checkUnusable(t, e, err)
			said.WriteString(strings.ReplaceAll(describe(test.name, err), path, "FILE"))
		})
	}
	checkGolden(t, "keyfiles", said.String())
}

func describe(name string, err error) string {
	return fmt.Sprintf("%s\n  %v\n  hint: %s\n", name, err, refresher.AsError(err).Hint)
}

func checkUnusable(t *testing.T, e *endpoint, err error) {
	t.Helper()
	failure, ok := errors.AsType[*refresher.Error](err)
	if !ok || failure.Class != refresher.Settling || failure.Code != oauthsts.CodeClientCredential {
		t.Errorf("error = %v, want a settling %s", err, oauthsts.CodeClientCredential)
	}
	if len(e.requests) != 0 {
		t.Errorf("requests = %d, want none", len(e.requests))
	}
}

// TestSecretFiles has the texts in testdata/secretfiles.golden.
func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "blank": " \n\t\n", "too long": strings.Repeat("x", 64<<10+1)} {
		write(t, filepath.Join(dir, name), text)
	}
	var said strings.Builder
	for _, name := range []string{"missing", ".", "empty", "blank", "too long"} {
		for _, method := range []string{"basic", "post"} {
			e := &endpoint{body: answered}
			_, err := exchanger(t, e, func(o *options) {
				o.ClientID, o.ClientAuth, o.ClientSecretFile = "wisp", method, dir+"/"+name
			}).Exchange(t.Context(), subject, refresher.Target{})
			checkUnusable(t, e, err)
			said.WriteString(strings.ReplaceAll(describe(name+", "+method, err), dir, "DIR"))
		}
	}
	checkGolden(t, "secretfiles", said.String())
}

func TestRotatedFilesAreTakenOver(t *testing.T) {
	dir := t.TempDir()
	secretFile, keyFile := filepath.Join(dir, "secret"), filepath.Join(dir, "key.pem")
	e := &endpoint{body: answered}
	withSecret := exchanger(t, e, func(o *options) { o.ClientID, o.ClientAuth, o.ClientSecretFile = "wisp", "post", secretFile })
	withKey := exchanger(t, e, func(o *options) { o.ClientID, o.PrivateKeyFile = "wisp", keyFile })
	exchange := func(x *oauthsts.Exchanger) recorded {
		t.Helper()
		if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err != nil {
			t.Fatal(err)
		}
		return e.requests[len(e.requests)-1]
	}
	for _, secret := range []string{"first", "second"} {
		write(t, secretFile, secret+"\n")
		if got := exchange(withSecret).form.Get("client_secret"); got != secret {
			t.Errorf("client_secret = %q, want %q", got, secret)
		}
	}
	for algorithm, file := range map[string]string{"ES256": pkcs8(t, testKeys().p256), "EdDSA": pkcs8(t, testKeys().ed25519)} {
		write(t, keyFile, file)
		signed := decoded(t, exchange(withKey).form.Get("client_assertion"))
		if !strings.Contains(signed, `"alg":"`+algorithm+`"`) {
			t.Errorf("assertion = %s, want one by %s", signed, algorithm)
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(pkcs8(f, testKeys().ed25519)))
	f.Add([]byte(block("EC PRIVATE KEY", []byte{0x30, 0})))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	path := filepath.Join(f.TempDir(), "key.pem")
	f.Fuzz(func(t *testing.T, text []byte) {
		write(t, path, string(text))
		e := &endpoint{body: answered}
		_, err := exchanger(t, e, func(o *options) { o.ClientID, o.PrivateKeyFile = "wisp", path }).
			Exchange(t.Context(), subject, refresher.Target{})
		if (err == nil) != (len(e.requests) == 1) {
			t.Errorf("error = %v after %d requests", err, len(e.requests))
		}
		if err != nil && len(text) > 40 && bytes.Contains([]byte(err.Error()), text) {
			t.Errorf("error repeats the file: %v", err)
		}
	})
}
