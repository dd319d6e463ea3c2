package clients_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"
)

// storePassword is of the Java key store with the certificate authority, which is no secret.
const storePassword = "changeit"

// serveTLS serves at a https URL. Its certificate is of an authority of the stage's own, in ca.pem and, for Java,
// in ca.p12: Google's library for Java exchanges tokens by https only.
func (s *stage) serveTLS(t *testing.T, h http.Handler, withJava bool) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the stage's certificate authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	must(err)
	authority, err = x509.ParseCertificate(authorityDER) // with its key id
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "fake"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, authority, key.Public(), authorityKey)
	must(err)

	path := s.write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER})))
	if withJava {
		must(command(s.dir, "keytool", "-importcert", "-noprompt", "-alias", "stage", "-file", path,
			"-keystore", filepath.Join(s.dir, "ca.p12"), "-storetype", "PKCS12", "-storepass", storePassword))
	}
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// trust has a client believe in the stage's certificate authority, by the variable of its language.
var trust = map[string]string{
	"SSL_CERT_FILE":                      "{dir}/ca.pem", // Go
	"REQUESTS_CA_BUNDLE":                 "{dir}/ca.pem", // Python
	"NODE_EXTRA_CA_CERTS":                "{dir}/ca.pem",
	"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": "{dir}/ca.pem",
	"JDK_JAVA_OPTIONS":                   "-Djavax.net.ssl.trustStore={dir}/ca.p12 -Djavax.net.ssl.trustStorePassword=" + storePassword,
}
