package clients_test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/reserve"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// Who the workload is, in Kubernetes and to each cloud. It has two identities at each, of which "reports" is
// the default.
const (
	workload = "system:serviceaccount:shop:reports"
	pod      = "reports-6c9f7"
	region   = "eu-west-1"

	awsAccount = "111122223333"
	awsSession = "arn:aws:sts::" + awsAccount + ":assumed-role/audit/shop-reports-" + pod

	// awsOwnSession is that of clients that assume the role themselves.
	awsOwnSession = "arn:aws:sts::" + awsAccount + ":assumed-role/reports/itself"

	googleProject  = "shop-prod"
	googlePool     = "projects/123456789012/locations/global/workloadIdentityPools/clusters"
	googleProvider = googlePool + "/providers/cluster"
	googleReports  = "reports@" + googleProject + ".iam.gserviceaccount.com"
	googleAudit    = "auditor@" + googleProject + ".iam.gserviceaccount.com"

	entraTenant  = "72f1a6c0-5b1e-4c55-9d9e-0a6d5f3b7c11"
	entraReports = "c0ffee00-8d2b-4f0e-b4c6-2f9d1e7a5b22"
	entraAudit   = "a0d17000-3c5e-4e2b-9a60-7d1b52e8c933"
	vault        = "https://vault.azure.net"

	// audience is that of the ID tokens that clients are asked for.
	audience = "https://app.example"
)

// lifetime is that of the clouds' credentials: shorter than any real one, so that clients see several. At this one
// wisp renews after 12 to 20 seconds.
const lifetime = 60 * time.Second

// longLifetime is that of those which all clients come to ask for during the outage, one after another where the machine is
// busy. It is below what clients take for too little to keep a credential: gcloud comes again in its last 225 seconds.
const longLifetime = 210 * time.Second

// A stage is the fake clouds, an API of theirs that clients call, and between them and the clients a wisp.
type stage struct {
	dir    string
	aws    *cloudtest.AWS
	google *cloudtest.Google
	entra  *cloudtest.Entra
	urls   struct{ aws, google, googleTLS, entra, api string }
	late   map[string]string // the tokens, by file, that come when the clouds recover

	changing sync.RWMutex // held while requests are answered

	outlets string // the address that all outlets share
	wisp    *exec.Cmd
	log     lockedBuffer
}

// newStage makes clouds that answer 503, and starts wisp, which will get nothing from them until they recover.
func newStage(t *testing.T, kit *installation) *stage {
	t.Helper()
	s := &stage{dir: t.TempDir(), outlets: freeAddress(t), late: map[string]string{}}
	serve := func(h http.Handler) string {
		server := httptest.NewServer(s.one(h))
		t.Cleanup(server.Close)
		return server.URL
	}
	at := httptest.NewUnstartedServer(nil)
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "http://" + at.Listener.Addr().String()})
	at.Config.Handler = issuer
	at.Start()
	t.Cleanup(at.Close)

	role := func(name string) cloudtest.Role {
		return cloudtest.Role{ARN: "arn:aws:iam::" + awsAccount + ":role/" + name, Issuer: issuer.URL(), Subjects: []string{workload}}
	}
	s.aws = cloudtest.NewAWS(cloudtest.AWSOptions{
		Providers: []cloudtest.OIDCProvider{{Account: awsAccount, Issuer: issuer.URL(), Audiences: []string{"sts.amazonaws.com"}}},
		Roles:     []cloudtest.Role{role("reports"), role("audit")},
	})
	members := []string{"principal://iam.googleapis.com/" + googlePool + "/subject/" + workload}
	s.google = cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Providers: []cloudtest.PoolProvider{{Name: googleProvider, Issuer: issuer.URL()}},
		ServiceAccounts: []cloudtest.ServiceAccount{
			{Email: googleReports, Impersonators: members}, {Email: googleAudit, Impersonators: members},
		},
	})
	trusted := []cloudtest.FederatedCredential{{Issuer: issuer.URL(), Subject: workload, Audience: "api://AzureADTokenExchange"}}
	s.entra = cloudtest.NewEntra(cloudtest.EntraOptions{Apps: []cloudtest.App{
		{TenantID: entraTenant, ClientID: entraReports, Credentials: trusted},
		{TenantID: entraTenant, ClientID: entraAudit, Credentials: trusted},
	}})
	s.urls.aws, s.urls.google, s.urls.entra = serve(s.aws), serve(s.google), serve(s.entra)
	s.urls.googleTLS = s.serveTLS(t, s.one(s.google), kit.unavailable[maven] == nil)
	s.urls.api = serve(http.HandlerFunc(s.api))
	s.limit(lifetime)
	s.fail()

	for name, wanted := range map[string]string{
		"aws": "sts.amazonaws.com", "google": "https://iam.googleapis.com/" + googleProvider, "azure": "api://AzureADTokenExchange",
	} {
		token := issuer.Mint(cloudtest.TokenOptions{
			Namespace: "shop", ServiceAccount: "reports", Pod: pod, Audience: []string{wanted}, Lifetime: time.Hour,
		})
		s.write(t, name+".token", token)
		s.late["late-"+name+".token"] = token
	}
	s.start(t, kit.wisp)
	s.writeAccounts(t, kit.wisp)
	s.write(t, "wrong.secret", "wrong")
	s.write(t, "aws-process-of-nobody", "[default]\ncredential_process = "+kit.wisp+" credential-process nobody --config "+s.dir+"/wisp.yaml\n")
	s.write(t, "aws-process", "[default]\ncredential_process = "+kit.wisp+" credential-process aws-audit --config "+s.dir+"/wisp.yaml\n")
	return s
}

// clouds are the faults of each cloud.
func (s *stage) clouds() map[string]*cloudtest.Faults {
	return map[string]*cloudtest.Faults{aws: &s.aws.Faults, google: &s.google.Faults, azure: &s.entra.Faults}
}

// exchanges are the operations by which wisp gets credentials. The others, by which clouds verify them, never fail.
var exchanges = map[string]string{aws: "AssumeRoleWithWebIdentity", google: "token", azure: "token"}

// fail has the clouds give no credentials any more, but verify those that they gave.
func (s *stage) fail() {
	for name, faults := range s.clouds() {
		faults.Inject(cloudtest.Fault{Operation: exchanges[name], Status: http.StatusServiceUnavailable, Body: "down"})
	}
}

// recover ends that, and brings the tokens that are late.
func (s *stage) recover(t *testing.T) {
	t.Helper()
	for name, token := range s.late {
		s.write(t, name, token)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	for _, faults := range s.clouds() {
		faults.Clear() // of the limit, too: a request in between would get a credential for an hour
	}
	s.limit(lifetime)
}

// one has a cloud answer when it is not being changed.
func (s *stage) one(cloud http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.changing.RLock()
		defer s.changing.RUnlock()
		cloud.ServeHTTP(w, r)
	})
}

// limit is how long credentials live from now on.
func (s *stage) limit(life time.Duration) {
	for _, faults := range s.clouds() {
		faults.LimitLifetime(life)
	}
}

// asked has wisp get all credentials anew, and waits until it has asked each cloud.
func (s *stage) asked(t *testing.T) {
	t.Helper()
	before := map[string]int{}
	for name, faults := range s.clouds() {
		before[name] = faults.Calls(exchanges[name])
	}
	if err := s.wisp.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	for name, faults := range s.clouds() {
		waitFor(t, 2*time.Minute, "wisp to ask "+name, func() bool { return faults.Calls(exchanges[name]) > before[name] })
	}
}

// start starts wisp, and waits until its outlets listen.
func (s *stage) start(t *testing.T, program string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "wisp.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config bytes.Buffer
	quoted := func(text any) (string, error) {
		quoted, err := json.Marshal(text)
		return string(quoted), err
	}
	document := template.Must(template.New("wisp.yaml").Funcs(template.FuncMap{"yaml": quoted}).Option("missingkey=error").Parse(string(text)))
	if err := document.Execute(&config, map[string]any{
		"Dir": s.dir + "/", "Outlets": s.outlets, "Region": region, "Account": awsAccount,
		"AWS": s.urls.aws, "Google": s.urls.google, "Entra": s.urls.entra,
		"Provider": "//iam.googleapis.com/" + googleProvider, "GoogleReports": googleReports, "GoogleAudit": googleAudit,
		"Tenant": entraTenant, "EntraReports": entraReports, "EntraAudit": entraAudit,
	}); err != nil {
		t.Fatal(err)
	}
	s.wisp = exec.Command(program, "run", "--config", s.write(t, "wisp.yaml", config.String()))
	s.wisp.Stderr = &s.log
	if err := s.wisp.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.wisp.Wait() }()
	t.Cleanup(func() {
		_ = s.wisp.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("wisp: %v", err)
		}
		if t.Failed() {
			t.Logf("wisp's log:\n%s", s.log.String())
		}
	})
	waitFor(t, 2*time.Minute, "wisp to listen", func() bool {
		c, err := net.Dial("tcp", s.outlets)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// write writes a file of the stage, and returns its path.
func (s *stage) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secret is one that wisp has made.
func (s *stage) secret(name string) string {
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		panic(err) // wisp writes them before it listens
	}
	return string(text)
}

func waitFor(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	clock := time.NewTicker(50 * time.Millisecond)
	defer clock.Stop()
	for end := time.Now().Add(limit); !is(); <-clock.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
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

// A lockedBuffer is what a process writes.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
