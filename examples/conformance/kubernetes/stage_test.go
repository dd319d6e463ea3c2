package kubernetes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// Who the workload is, in Kubernetes and to each cloud.
const (
	workload = "system:serviceaccount:shop:reports"
	pod      = "reports-6c9f7"

	eksCluster = "prod"
	region     = "eu-west-1"
	role       = "arn:aws:iam::111122223333:role/reports"
	session    = "arn:aws:sts::111122223333:assumed-role/reports/shop-reports-" + pod

	pool     = "projects/123456789012/locations/global/workloadIdentityPools/clusters"
	provider = pool + "/providers/cluster"
	account  = "reports@shop-prod.iam.gserviceaccount.com"

	tenant = "72f1a6c0-5b1e-4c55-9d9e-0a6d5f3b7c11"
	client = "c0ffee00-8d2b-4f0e-b4c6-2f9d1e7a5b22"
)

// A stage is the clouds, API servers that trust them, and the configuration of a wisp.
type stage struct {
	program  string // wisp
	dir      string
	internet *cloudtest.Network // as clouds and API servers see it
	aws      *cloudtest.AWS
	google   *cloudtest.Google
	entra    *cloudtest.Entra
	clusters map[string]cluster // by kind
}

func newStage(t *testing.T, program string) *stage {
	t.Helper()
	s := &stage{program: program, dir: t.TempDir(), internet: cloudtest.NewNetwork(), clusters: map[string]cluster{}}
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example"})
	s.aws = cloudtest.NewAWS(cloudtest.AWSOptions{
		Transport: s.internet,
		Providers: []cloudtest.OIDCProvider{{Account: "111122223333", Issuer: issuer.URL(), Audiences: []string{"sts.amazonaws.com"}}},
		Roles:     []cloudtest.Role{{ARN: role, Issuer: issuer.URL(), Subjects: []string{workload}}},
	})
	s.google = cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Transport: s.internet,
		Providers: []cloudtest.PoolProvider{{Name: provider, Issuer: issuer.URL()}},
		ServiceAccounts: []cloudtest.ServiceAccount{
			{Email: account, Impersonators: []string{"principal://iam.googleapis.com/" + pool + "/subject/" + workload}},
		},
	})
	s.entra = cloudtest.NewEntra(cloudtest.EntraOptions{
		Transport: s.internet, Resources: []string{azureResourceManager, aksApplication},
		Apps: []cloudtest.App{{
			TenantID: tenant, ClientID: client,
			Credentials: []cloudtest.FederatedCredential{{Issuer: issuer.URL(), Subject: workload, Audience: "api://AzureADTokenExchange"}},
		}},
	})
	s.internet.Handle("oidc.example", issuer)
	s.internet.Handle("sts."+region+".amazonaws.com", s.aws)
	for kind, authenticate := range s.authenticators() {
		s.clusters[kind] = serve(t, authenticate)
	}

	for name, audience := range map[string]string{
		"aws": "sts.amazonaws.com", "google": "https://iam.googleapis.com/" + provider, "azure": "api://AzureADTokenExchange",
	} {
		s.write(t, name+".token", issuer.Mint(cloudtest.TokenOptions{
			Namespace: "shop", ServiceAccount: "reports", Pod: pod, Audience: []string{audience}, Lifetime: time.Hour,
		}))
	}
	upstream := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	s.write(t, "wisp.yaml", fill(t, "wisp.yaml", map[string]any{
		"Dir": s.dir + "/", "Region": region, "Role": role, "Tenant": tenant, "Client": client,
		"Provider": "//iam.googleapis.com/" + provider, "Account": account,
		"AWS": upstream(s.aws), "Google": upstream(s.google), "Entra": upstream(s.entra),
	}))
	return s
}

// config is the path of wisp's configuration.
func (s *stage) config() string { return filepath.Join(s.dir, "wisp.yaml") }

// exchanges is how many credentials the clouds have been asked for.
func (s *stage) exchanges() int {
	return s.aws.Calls("AssumeRoleWithWebIdentity") + s.google.Calls("generateAccessToken") + s.entra.Calls("token")
}

// start starts wisp, and waits until it has every credential.
func (s *stage) start(t *testing.T) {
	t.Helper()
	var log bytes.Buffer // read when wisp has ended
	wisp := exec.Command(s.program, "run", "--config", s.config())
	wisp.Stderr = &log
	if err := wisp.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = wisp.Process.Signal(syscall.SIGTERM)
		if err := wisp.Wait(); err != nil {
			t.Errorf("wisp: %v", err)
		}
		if t.Failed() {
			t.Logf("wisp's log:\n%s", log.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, s.program, "wait", "--config", s.config()).CombinedOutput(); err != nil {
		t.Fatalf("wisp wait: %v\n%s", err, out)
	}
}

func (s *stage) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fill completes a file of testdata.
func fill(t *testing.T, name string, values any) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(value any) (string, error) {
		quoted, err := json.Marshal(value)
		return string(quoted), err
	}
	document := template.Must(template.New(name).Funcs(template.FuncMap{"yaml": quoted}).Option("missingkey=error").Parse(string(text)))
	var filled bytes.Buffer
	if err := document.Execute(&filled, values); err != nil {
		t.Fatal(err)
	}
	return filled.String()
}
