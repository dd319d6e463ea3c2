package chart_test

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
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

// Whatever Helm lets a release be called, the Service gets a name that it may have, and the certificate is for it.
func TestReleaseNames(t *testing.T) {
	far := strings.Repeat("n", 63) // the longest namespace
	for release, want := range map[string]string{
		"wisp":                           "wisp-webhook",
		"prod":                           "prod-wisp-webhook",
		"my.wisp":                        "my-wisp-webhook",
		"v1.2":                           "v1-2-wisp-webhook",
		strings.Repeat("l", 53):          strings.Repeat("l", 50) + "-webhook",
		strings.Repeat("l", 49) + ".xxx": strings.Repeat("l", 49) + "-webhook",
	} {
		t.Run(release, func(t *testing.T) {
			for _, h := range bothHelms(t) {
				rendered, ok := h.run(t, "template", release, chartDir, "--namespace", far, "--kube-version", newest)
				if !ok {
					t.Fatalf("%s: %s", h.name, rendered)
				}
				objects := decode(t, rendered)
				if objects["Service/"+want] == nil {
					t.Fatalf("%s: no Service %s in %v", h.name, want, slices.Sorted(maps.Keys(objects)))
				}
				if problems := validation.IsDNS1035Label(want); problems != nil {
					t.Errorf("%s: %s: %v", h.name, want, problems)
				}
				secret := objects["Secret/"+want+"-tls"].(*corev1.Secret)
				pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
				if err != nil {
					t.Fatal(err)
				}
				if err := pair.Leaf.VerifyHostname(want + "." + far + ".svc"); err != nil {
					t.Errorf("%s: %v", h.name, err)
				}
			}
		})
	}
}
