package cluster_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// The workload's identity at each cloud.
const (
	region     = "eu-west-1"
	awsAccount = "123456789012"
	awsRole    = "arn:aws:iam::" + awsAccount + ":role/reports"

	googlePool     = "projects/123456789/locations/global/workloadIdentityPools/cluster"
	googleProvider = googlePool + "/providers/cluster"
	googleAccount  = "reports@shop-prod.iam.gserviceaccount.com"

	entraTenant = "11111111-2222-3333-4444-555555555555"
	entraClient = "66666666-7777-8888-9999-000000000000"
)

// clouds are the fake ones. They trust an API server's issuer, and fetch its documents from the API server.
type clouds struct {
	aws    *cloudtest.AWS
	google *cloudtest.Google
	entra  *cloudtest.Entra
	ca     string // PEM
	config *tls.Config

	mu    sync.Mutex
	shown []string // guarded by mu; the tokens that AWS has been shown
}

// apiHost is of an API that says whom the clouds take its caller for.
const apiHost = "api.example"

// cloudAddress is where all of the clouds' names lead to in a Pod.
const cloudAddress = "127.0.0.2"

// newClouds makes clouds in which the service accounts of a namespace may be the workload.
func newClouds(t *testing.T, issuer string, transport http.RoundTripper, namespace string) *clouds {
	t.Helper()
	c := &clouds{}
	subject := "system:serviceaccount:" + namespace + ":reports"
	c.aws = cloudtest.NewAWS(cloudtest.AWSOptions{
		Transport: transport,
		Providers: []cloudtest.OIDCProvider{{Account: awsAccount, Issuer: issuer, Audiences: []string{"sts.amazonaws.com"}}},
		Roles:     []cloudtest.Role{{ARN: awsRole, Issuer: issuer, Subjects: []string{subject}}},
	})
	c.google = cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Transport: transport,
		Providers: []cloudtest.PoolProvider{{Name: googleProvider, Issuer: issuer}},
		ServiceAccounts: []cloudtest.ServiceAccount{{
			Email: googleAccount, Impersonators: []string{"principal://iam.googleapis.com/" + googlePool + "/subject/" + subject},
		}},
	})
	c.entra = cloudtest.NewEntra(cloudtest.EntraOptions{
		Transport: transport,
		Apps: []cloudtest.App{{TenantID: entraTenant, ClientID: entraClient, Credentials: []cloudtest.FederatedCredential{
			{Issuer: issuer, Subject: subject, Audience: "api://AzureADTokenExchange"},
		}}},
	})
	c.certify(t)
	return c
}

// handlers are the hosts of the clouds, by the names that wisp and SDKs know.
func (c *clouds) handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"sts." + region + ".amazonaws.com": http.HandlerFunc(c.serveAWS),
		"sts.googleapis.com":               c.google,
		"iamcredentials.googleapis.com":    c.google,
		"login.microsoftonline.com":        c.entra,
		apiHost:                            http.HandlerFunc(c.api),
	}
}

// hosts are their addresses in a Pod.
func (c *clouds) hosts() map[string]string {
	hosts := map[string]string{}
	for name := range c.handlers() {
		hosts[name] = cloudAddress
	}
	return hosts
}

// serve serves all of them in a Pod's network.
func (c *clouds) serve(t *testing.T, listen func(address string) (net.Listener, error)) error {
	l, err := listen(cloudAddress + ":443")
	if err != nil {
		return err
	}
	c.serveTLS(t, l)
	return nil
}

// serveTLS serves the cloud that a request names.
func (c *clouds) serveTLS(t *testing.T, l net.Listener) {
	handlers := c.handlers()
	server := &http.Server{
		TLSConfig: c.config, ErrorLog: log.New(io.Discard, "", 0), // connections that a Pod's end breaks off
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h, known := handlers[r.Host]
			if !known {
				http.Error(w, "no cloud has this host: "+r.Host, http.StatusMisdirectedRequest)
				return
			}
			h.ServeHTTP(w, r)
		}),
	}
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { _ = server.Close() })
}

// serveAWS remembers the tokens of Kubernetes that it is shown.
func (c *clouds) serveAWS(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if form, err := url.ParseQuery(string(body)); err == nil && form.Has("WebIdentityToken") {
		c.mu.Lock()
		c.shown = append(c.shown, form.Get("WebIdentityToken"))
		c.mu.Unlock()
	}
	c.aws.ServeHTTP(w, r)
}

// lastShown is the token that AWS was shown last.
func (c *clouds) lastShown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.shown) == 0 {
		return ""
	}
	return c.shown[len(c.shown)-1]
}

// api answers whom the clouds take somebody for.
func (c *clouds) api(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if principal, valid := c.google.Principal(token); valid {
		_, _ = io.WriteString(w, principal)
		return
	}
	app, err := c.entra.Validate(token)
	if err != nil {
		http.Error(w, errors.Join(errors.New("Google: no such access token"), err).Error(), http.StatusUnauthorized)
		return
	}
	_, _ = io.WriteString(w, "client "+app.ClientID)
}

// certify makes an authority, and a certificate of it for all hosts.
func (c *clouds) certify(t *testing.T) {
	t.Helper()
	issue := func(template, parent *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if by == nil {
			by = key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of the fake clouds"}, SubjectKeyId: []byte{1},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, by := issue(authority, authority, nil)
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	c.ca = text.String()
	var names []string
	for name := range c.handlers() {
		names = append(names, name)
	}
	slices.Sort(names)
	der, key := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "clouds"}, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, by)
	c.config = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
