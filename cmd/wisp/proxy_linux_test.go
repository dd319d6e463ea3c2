package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// variablesOfClouds are those that say who the workload is, as the injector sets them.
func variablesOfClouds(dir string) []string {
	token := func(name string) string { return filepath.Join(dir, "tokens", name) }
	return []string{
		"AWS_ROLE_ARN=arn:aws:iam::123456789012:role/reports", "AWS_REGION=eu-west-1", "AWS_WEB_IDENTITY_TOKEN_FILE=" + token("aws"),
		"WISP_GOOGLE_AUDIENCE=//iam.googleapis.com/" + googlePool + "/providers/cluster", "WISP_GOOGLE_TOKEN_FILE=" + token("google"),
		"WISP_GOOGLE_SERVICE_ACCOUNT=reports@shop-prod.iam.gserviceaccount.com",
		"AZURE_CLIENT_ID=66666666-7777-8888-9999-000000000000", "AZURE_TENANT_ID=11111111-2222-3333-4444-555555555555", "AZURE_FEDERATED_TOKEN_FILE=" + token("azure"),
	}
}

// proxyToClouds is a proxy behind which the clouds have their own names. The file gets the certificate to
// trust.
func proxyToClouds(t *testing.T, file string) string {
	t.Helper()
	w := world()
	clouds := map[string]http.Handler{
		"sts.eu-west-1.amazonaws.com": w.aws, "sts.googleapis.com": w.google, "iamcredentials.googleapis.com": w.google, "login.microsoftonline.com": w.entra,
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { clouds[r.Host].ServeHTTP(w, r) }))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for name := range clouds {
		template.DNSNames = append(template.DNSNames, name)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600); err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)

	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || err != nil || clouds[host] == nil {
			http.Error(w, "not for "+r.Host, http.StatusForbidden)
			return
		}
		cloud, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer cloud.Close()
		w.WriteHeader(http.StatusOK)
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		go func() {
			_, _ = io.Copy(cloud, client)
			_ = cloud.Close()
		}()
		_, _ = io.Copy(client, cloud)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
