package chart_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

// What does not go is refused when the chart is rendered, in words that say which value it is.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		version, values string   // version: newest if empty
		want            []string // parts of the message
	}{
		"misspelled key":            {values: `aws: {regoin: eu-west-1}`, want: []string{"at '/aws'", "'regoin' not allowed"}},
		"misspelled key at the top": {values: `modes: policy`, want: []string{"'modes' not allowed"}},
		"unknown mode":              {values: `mode: both`, want: []string{"at '/mode'", "'webhook', 'policy'"}},
		"unknown sidecar":           {values: `sidecar: none`, want: []string{"at '/sidecar'"}},
		"unknown log level":         {values: `logLevel: verbose`, want: []string{"at '/logLevel'"}},
		"privileged port":           {values: `port: 80`, want: []string{"at '/port'"}},
		"port as text":              {values: `healthPort: "9910"`, want: []string{"at '/healthPort'"}},
		"equal ports":               {values: `port: 9910`, want: []string{"port and healthPort are both 9910"}},
		"short expiration":          {values: `google: {tokenExpiration: 599}`, want: []string{"at '/google/tokenExpiration'"}},
		"empty audience":            {values: `azure: {audience: ""}`, want: []string{"at '/azure/audience'"}},
		"region":                    {values: `aws: {region: eu_west_1}`, want: []string{"at '/aws/region'"}},
		"provider as a URL":         {values: `google: {audience: "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/main"}`, want: []string{"at '/google/audience'"}},
		"tenant of many":            {values: `azure: {tenantId: common}`, want: []string{"at '/azure/tenantId'"}},
		"authority without https":   {values: `azure: {authorityHost: "http://login.example"}`, want: []string{"at '/azure/authorityHost'"}},
		"no repository":             {values: `image: {repository: ""}`, want: []string{"at '/image/repository'"}},
		"repository with a digest":  {values: `image: {repository: "wisp@sha256:0"}`, want: []string{"at '/image/repository'"}},
		"short digest":              {values: `image: {digest: "sha256:0"}`, want: []string{"at '/image/digest'"}},
		"pull policy":               {values: `image: {pullPolicy: Sometimes}`, want: []string{"at '/image/pullPolicy'"}},
		"pull secrets as objects":   {values: `image: {pullSecrets: [{name: a}]}`, want: []string{"at '/image/pullSecrets/0'"}},
		"quantity":                  {values: `resources: {limits: {memory: 128MB}}`, want: []string{"at '/resources/limits/memory'"}},
		"other resource":            {values: `resources: {limits: {gpu: "1"}}`, want: []string{"'gpu' not allowed"}},
		"variable without a value":  {values: `env: [{name: A}]`, want: []string{"at '/env/0'", "'value'"}},
		"variable from elsewhere":   {values: `env: [{name: A, value: "", valueFrom: {}}]`, want: []string{"'valueFrom' not allowed"}},
		"variable's name":           {values: `env: [{name: "a b", value: ""}]`, want: []string{"at '/env/0/name'"}},
		"control character":         {values: `env: [{name: A, value: "\x07"}]`, want: []string{"at '/env/0/value'"}},
		"next line":                 {values: `env: [{name: A, value: "\N"}]`, want: []string{"at '/env/0/value'"}},
		"unknown certificate":       {values: `webhook: {certificate: {source: vault}}`, want: []string{"at '/webhook/certificate/source'"}},
		"certificate without a CA":  {values: `webhook: {certificate: {source: secret, secretName: tls}}`, want: []string{"needs webhook.certificate.secretName and webhook.certificate.caBundle"}},
		"CA that is none":           {values: `webhook: {certificate: {source: secret, secretName: tls, caBundle: ca.crt}}`, want: []string{"at '/webhook/certificate/caBundle'"}},
		"issuer without a name":     {values: `webhook: {certificate: {source: certManager, issuerRef: {kind: Issuer}}}`, want: []string{"at '/webhook/certificate/issuerRef'", "'name'"}},
		"plain http":                {values: `webhook: {url: "http://webhook.example/inject"}`, want: []string{"at '/webhook/url'"}},
		"long timeout":              {values: `webhook: {timeoutSeconds: 31}`, want: []string{"at '/webhook/timeoutSeconds'"}},
		"native on an old cluster":  {version: "1.28.15", values: `mode: webhook`, want: []string{"native sidecars need Kubernetes 1.29 or newer, and this is v1.28.15: set sidecar: classic"}},
		"policy on an old cluster":  {version: "1.35.4", values: `mode: policy`, want: []string{"mode: policy needs Kubernetes 1.36 or newer, and this is v1.35.4: set mode: webhook"}},
		"policy and classic":        {values: `{mode: policy, sidecar: classic}`, want: []string{"mode: policy makes native sidecars only: set sidecar: native, or mode: webhook"}},
		"a cluster before all that": {version: "1.27.16", values: `{}`, want: []string{">=1.28.0-0", "v1.27.16"}},
		"several at once":           {values: `{port: 1, mode: x}`, want: []string{"at '/port'", "at '/mode'"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, h := range bothHelms(t) {
				version := test.version
				if version == "" {
					version = newest
				}
				out, ok := h.template(t, version, test.values)
				if ok {
					t.Errorf("%s takes it", h.name)
				}
				for _, want := range test.want {
					if !strings.Contains(out, want) {
						t.Errorf("%s says %q, want %q in it", h.name, out, want)
					}
				}
			}
		})
	}
}

// A cluster that has switched the API off is told from one that Helm does not speak to: only the former has kinds.
func TestPolicyNeedsTheAPI(t *testing.T) {
	const api = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
	for _, h := range bothHelms(t) {
		if out, ok := h.template(t, newest, "mode: policy", "--api-versions", "v1/Pod"); ok || !strings.Contains(out, "which this cluster does not serve: set mode: webhook") {
			t.Errorf("%s says %q of a cluster without it", h.name, out)
		}
		h.render(t, "mode: policy", "--api-versions", "v1/Pod", "--api-versions", api)
		h.render(t, "mode: policy", "--kube-version", "v1.36.2-gke.1100000") // providers' suffixes are no pre-releases
	}
}

// hostile is what a value must not do: end the literal of CEL that it stands in, the block of YAML, or the template.
const hostile = "quo\"te 'single' back\\slash \\n real\nnew line\n- list: x\n\ttab {{ fail \"x\" }} ${A} $(B) # no comment \u2028 é 😀 </script> \" + variables.port + \""

// Values reach CEL as they are.
func TestHostileValues(t *testing.T) {
	text, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	values := `{"mode": "policy", "env": [{"name": "HOSTILE", "value": ` + string(text) + `}]}`
	for _, h := range bothHelms(t) {
		policy := h.render(t, values)
		decode(t, policy)
		literal := regexp.MustCompile(`\["HOSTILE", ("(?:[^"\\]|\\.)*")\]`).FindStringSubmatch(policy)
		if literal == nil {
			t.Fatalf("%s: the variable is not in the policy", h.name)
		}
		// CEL has all of JSON's escapes but that of the slash, which is never escaped here.
		var got string
		if err := json.Unmarshal([]byte(literal[1]), &got); err != nil || got != hostile {
			t.Errorf("%s: the literal %s is %q (%v), want %q", h.name, literal[1], got, err, hostile)
		}
		if strings.Contains(literal[1], `\/`) {
			t.Errorf("%s: %s has an escape that CEL has not", h.name, literal[1])
		}
	}
}

// The webhook takes what the chart gives it, and so does wisp inject --policy.
func TestPolicyDocument(t *testing.T) {
	for name, values := range map[string]string{
		"defaults":   `{}`,
		"everything": everything,
		"hostile":    `{"env": [{"name": "HOSTILE", "value": ` + quoted(hostile) + `}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, h := range bothHelms(t) {
				config, ok := decode(t, h.render(t, values))["ConfigMap/wisp-webhook"].(*corev1.ConfigMap)
				if !ok {
					t.Fatalf("%s: no ConfigMap", h.name)
				}
				if _, err := inject.ParsePolicy([]byte(config.Data["policy.json"])); err != nil {
					t.Errorf("%s: %v:\n%s", h.name, err, config.Data["policy.json"])
				}
			}
		})
	}
}

func quoted(s string) string {
	text, _ := json.Marshal(s) // of a string there is no error
	return string(text)
}

const everything = `
image: {repository: "registry.example:5000/wisp", tag: "1.2.3", pullPolicy: Always, pullSecrets: [registry, mirror]}
sidecar: classic
port: 19911
healthPort: 19910
logLevel: debug
startupSeconds: 30
linkLocal: true
resources: {requests: {cpu: 20m, memory: 32Mi}, limits: {cpu: "1", memory: 256Mi}}
env: [{name: HTTPS_PROXY, value: "http://proxy.example:3128"}]
aws: {region: eu-west-1, audience: https://issuer.example, tokenExpiration: 3600}
google:
  audience: //iam.googleapis.com/projects/1234/locations/global/workloadIdentityPools/pool/providers/main
  tokenAudience: https://issuer.example
  project: shop-prod
  tokenExpiration: 7200
azure: {tenantId: 11111111-2222-3333-4444-555555555555, authorityHost: "https://login.microsoftonline.us", audience: "api://AzureADTokenExchangeUSGov", tokenExpiration: 7200}
`
