package conformance_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// asWritten makes the document one that "gcloud iam workload-identity-pools create-cred-config" writes, with
// the URLs of the real Google, and has everybody find it as they do without being told anything: by a
// variable. Libraries get an http.Client that leads to the door; wisp is the program, behind a proxy.
func (s *stage) asWritten() {
	s.genuine = true
	s.document["universe_domain"] = "googleapis.com"
	s.document["token_url"] = "https://sts.googleapis.com/v1/token"
	s.Setenv(accountVariable, filepath.Join(s.dir, accountFile))
}

const (
	accountVariable = "GOOGLE_APPLICATION_CREDENTIALS"
	accountFile     = "account.json"
)

// wispProgram runs wisp get.
func wispProgram(s *stage) (grant, error) {
	if runtime.GOOS != "linux" {
		s.Skip("only on Linux does a variable make Go trust a certificate")
	}
	proxy, certificate := s.door.proxy(s)
	get := exec.CommandContext(s.Context(), play.wisp, "get", "google", "--timeout", patience.String())
	get.Env = []string{
		accountVariable + "=" + s.path(),
		allowExecutables + "=1",
		"HTTPS_PROXY=" + proxy,
		"SSL_CERT_FILE=" + s.file("ca.pem", certificate),
	}
	var stderr bytes.Buffer
	get.Stderr = &stderr
	out, err := get.Output()
	if err != nil {
		return grant{}, fmt.Errorf("wisp get: %w, stderr %q", err, &stderr)
	}
	var b bearer
	if json.Unmarshal(out, &b) != nil {
		return grant{}, errors.New("wisp get prints no JSON") // which may be a token
	}
	return grant{b.Token, b.ExpiresAt}, nil
}

// certified makes a key with a certificate that it has signed itself, also in PEM.
func certified(s *stage, names ...string) (config *tls.Config, text string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
