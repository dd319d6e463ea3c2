package chart_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// The certificate that Helm makes is for the address that the API server calls, and the API server is told its CA.
func TestHelmCertificate(t *testing.T) {
	for name, test := range map[string]struct{ values, host string }{
		"Service":         {`{}`, "wisp-webhook.wisp-system.svc"},
		"name in a URL":   {`webhook: {url: "https://webhook.example:9443/inject"}`, "webhook.example"},
		"IPv4 in a URL":   {`webhook: {url: "https://127.0.0.1:9443/inject"}`, "127.0.0.1"},
		"IPv6 in a URL":   {`webhook: {url: "https://[::1]:9443/inject"}`, "::1"},
		"URL and Service": {`webhook: {url: "https://webhook.example/inject"}`, "wisp-webhook.wisp-system.svc"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, h := range bothHelms(t) {
				objects := decode(t, h.render(t, test.values))
				secret := objects["Secret/wisp-webhook-tls"].(*corev1.Secret)
				pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
				if err != nil {
					t.Fatal(err)
				}
				configuration := objects["MutatingWebhookConfiguration/wisp"].(*admissionv1.MutatingWebhookConfiguration)
				roots := x509.NewCertPool()
				roots.AppendCertsFromPEM(configuration.Webhooks[0].ClientConfig.CABundle)
				if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: test.host, Roots: roots}); err != nil {
					t.Errorf("%s: %v", h.name, err)
				}
			}
		})
	}
}
