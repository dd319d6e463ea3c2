package agent_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/reserve"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// Who the workload is, in Kubernetes and to each cloud.
const (
	awsRole        = "arn:aws:iam::123456789012:role/reports"
	awsArchive     = "arn:aws:iam::210987654321:role/teams/archive" // trusts the account of awsRole
	awsAudience    = "sts.amazonaws.com"
	googlePool     = "projects/123456789/locations/global/workloadIdentityPools/cluster"
	googleProvider = googlePool + "/providers/cluster"
	googleAccount  = "reports@shop-prod.iam.gserviceaccount.com"
	entraTenant    = "11111111-2222-3333-4444-555555555555"
	entraClient    = "66666666-7777-8888-9999-000000000000"
	entraAudience  = "api://AzureADTokenExchange"
	workload       = "system:serviceaccount:shop:reports"
)

// issuer is one for all tests: it does nothing but sign, and making its keys takes time.
var issuer = sync.OnceValue(func() *cloudtest.Issuer {
	return cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example.test"})
})

// A world is what is around an agent: a volume with tokens, clouds behind real sockets, and somebody
// who keeps what he is told and looks for secrets in it.
type world struct {
	*testing.T
	dir     string // has tokens/aws, tokens/google, tokens/azure and the empty directories out and secrets
	kubelet *cloudtest.Kubelet
	aws     *cloudtest.AWS
	google  *cloudtest.Google
	entra   *cloudtest.Entra
	urls    map[string]string // what documents may refer to as ${NAME}

	log eavesdropper

	mu      sync.Mutex
	secrets []string // guarded by mu
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	internet := cloudtest.NewNetwork() // where the clouds look for the issuer's keys
	internet.Handle("oidc.example.test", issuer())
	w.aws = cloudtest.NewAWS(cloudtest.AWSOptions{
		Transport: internet,
		Providers: []cloudtest.OIDCProvider{{Account: "123456789012", Issuer: issuer().URL(), Audiences: []string{awsAudience}}},
		Roles: []cloudtest.Role{
			{ARN: awsRole, Issuer: issuer().URL(), Subjects: []string{workload}},
			{ARN: awsArchive, TrustedAccounts: []string{"123456789012"}},
		},
	})
	w.google = cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Transport: internet,
		Providers: []cloudtest.PoolProvider{{Name: googleProvider, Issuer: issuer().URL()}},
		ServiceAccounts: []cloudtest.ServiceAccount{{
			Email: googleAccount, Impersonators: []string{"principal://iam.googleapis.com/" + googlePool + "/subject/" + workload},
		}},
	})
	w.entra = cloudtest.NewEntra(cloudtest.EntraOptions{
		Transport: internet,
		Apps: []cloudtest.App{{
			TenantID: entraTenant, ClientID: entraClient,
			Credentials: []cloudtest.FederatedCredential{{Issuer: issuer().URL(), Subject: workload, Audience: entraAudience}},
		}},
	})
	kubelet, err := cloudtest.NewKubelet(cloudtest.KubeletOptions{
		Dir: filepath.Join(w.dir, "tokens"),
		Tokens: []cloudtest.ProjectedToken{
			{Path: "aws", Audience: awsAudience},
			{Path: "google", Audience: "https://iam.googleapis.com/" + googleProvider},
			{Path: "azure", Audience: entraAudience},
		},
		Mint: func(p cloudtest.ProjectedToken) string {
			token := issuer().Mint(cloudtest.TokenOptions{
				Namespace: "shop", ServiceAccount: "reports", Pod: "reports-0", Audience: []string{p.Audience}, Lifetime: p.Lifetime,
			})
			w.secret(token)
			return token
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.kubelet = kubelet
	if err := kubelet.Rotate(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"out", "secrets"} {
		if err := os.Mkdir(filepath.Join(w.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.urls = map[string]string{
		"DIR": w.dir, "OUTLETS": freeAddress(t), "PROBES": freeAddress(t),
		"AWS": w.serve(w.aws), "GOOGLE": w.serve(w.google), "ENTRA": w.serve(w.entra),
	}
	t.Cleanup(w.lookForSecrets)
	return w
}

// serve puts a cloud behind a socket.
func (w *world) serve(cloud http.Handler) string {
	server := httptest.NewServer(cloud)
	w.Cleanup(server.Close)
	return server.URL
}

// freeAddress is a loopback address that is kept, until the test ends, for who comes to listen there.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, release, err := reserve.Address()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}

// identities of a document, for the three clouds.
const (
	awsIdentity = `
- name: aws
  source: {file: {path: "${DIR}/tokens/aws"}}
  exchange: {aws: {roleArn: "arn:aws:iam::123456789012:role/reports", endpoint: "${AWS}"}}
`
	googleIdentity = `
- name: google
  source: {file: {path: "${DIR}/tokens/google"}}
  exchange:
    google:
      audience: //iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/cluster/providers/cluster
      serviceAccount: reports@shop-prod.iam.gserviceaccount.com
      tokenUrl: "${GOOGLE}/v1/token"
      impersonationUrl: "${GOOGLE}"
`
	entraIdentity = `
- name: azure
  source: {file: {path: "${DIR}/tokens/azure"}}
  exchange: {entra: {tenantId: 11111111-2222-3333-4444-555555555555, clientId: 66666666-7777-8888-9999-000000000000, authorityHost: "${ENTRA}"}}
`
	settings = `
upstream: {allowInsecureLoopback: true}
health: {listen: "${PROBES}"}
log: {level: debug}
`
)

// document joins the parts of a document and fills in where things are.
func (w *world) document(identities, rest string) []byte {
	text := "identities:" + identities + rest
	if !strings.Contains(rest, "upstream:") {
		text += settings
	}
	return []byte(os.Expand(text, func(name string) string { return w.urls[name] }))
}

// agent makes an agent that logs everything.
func (w *world) agent(document []byte, o agent.Options) *agent.Agent {
	w.Helper()
	c, err := agent.Parse("config.yaml", document)
	if err != nil {
		w.Fatal(err)
	}
	o.Log = slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Version = "v1.2.3"
	a, err := agent.New(c, o)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// run runs an agent until stop is called, or the test ends. ended gets what Run returns.
func (w *world) run(a *agent.Agent) (stop context.CancelFunc, ended <-chan error) {
	ctx, stop := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned <- a.Run(ctx)
	}()
	w.Cleanup(func() {
		stop()
		<-done
	})
	return stop, returned
}

// wait returns what arrives, within a generous time.
func wait[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: has not happened within 30 s", what)
		panic("unreachable")
	}
}

// eventually asks again and again until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: has not happened within 30 s", what)
		}
	}
}

// An answer is what an outlet or a probe said.
type answer struct {
	status int
	header http.Header
	body   string
}

// get asks for a path, with header fields "Name: value". Bodies that are not credentials are kept.
func (w *world) get(address, path string, fields ...string) answer {
	w.Helper()
	got, err := w.try(address, path, fields...)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

// patience is how long wisp waits for a request that somebody has connected for. Who is held up for longer, on a busy
// machine, has to ask again, as SDKs do.
const patience = 2 * time.Second

// try is get for what may not listen yet, or not any more.
func (w *world) try(address, path string, fields ...string) (answer, error) {
	for n := 1; ; n++ {
		begin := time.Now()
		got, err := w.once(address, path, fields...)
		op, _ := errors.AsType[*net.OpError](err)
		if err == nil || n == 10 || time.Since(begin) < patience || os.IsTimeout(err) || op != nil && op.Op == "dial" {
			return got, err
		}
	}
}

func (w *world) once(address, path string, fields ...string) (answer, error) {
	r, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return answer{}, err
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	if address == w.urls["PROBES"] || response.StatusCode != http.StatusOK {
		_, _ = w.log.Write(append(body, '\n'))
	}
	return answer{response.StatusCode, response.Header, string(body)}, nil
}

// started waits for the startup probe.
func (w *world) started() {
	w.Helper()
	eventually(w.T, "the startup probe", func() bool {
		got, err := w.try(w.urls["PROBES"], "/startupz")
		return err == nil && got.status == http.StatusOK
	})
}

// secret notes what must not be told.
func (w *world) secret(text ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, text...)
}

// anySecret is the shape of the secrets that a test has not seen: federated tokens, say.
var anySecret = regexp.MustCompile(`eyJ[\w-]{10,}\.[\w-]{10,}|ya29\.[\w.-]{10,}|\bASIA[A-Z2-7]{16}\b|IQoJb3JpZ2lu[\w+/=]{10,}`)

// lookForSecrets searches all that was logged and said.
func (w *world) lookForSecrets() {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.log.String()
	for _, secret := range w.secrets {
		parts := append(strings.Split(secret, "."), secret)
		if slices.ContainsFunc(parts, func(part string) bool { return len(part) >= 16 && strings.Contains(told, part) }) {
			w.Errorf("a secret of %d characters was told:\n%s", len(secret), told)
			return
		}
	}
	if found := anySecret.FindString(told); found != "" {
		w.Errorf("something like a secret was told: %.12s…\n%s", found, told)
	}
}

// An eavesdropper keeps all that is written to it.
type eavesdropper struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (e *eavesdropper) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(p)
}

func (e *eavesdropper) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.String()
}
