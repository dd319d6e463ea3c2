package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/reserve"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wisp": main})
}

// The command line, as its users see it. Besides testscript's own commands the scripts have
//
//	appears FILE                 waits until it is there
//	calls N                      insists on how many requests have reached the clouds
//	exits CODE PROGRAM ARG...    runs it, and insists on the exit code
//	expand FILE...               puts the values of $NAMEs into files
//	httpget STATUS URL [FIELD]   asks again and again, until that is the status; FIELDs are "Name: value"
//	signal NAME                  sends TERM, INT or USR1 to all that runs in the background
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"appears": appears, "calls": calls, "exits": exits, "expand": expand, "httpget": httpGet, "signal": sendSignal,
		},
		Condition: condition,
	})
}

// clouds are the three of them and who they trust. All scripts share them: nothing in them changes.
type clouds struct {
	issuer *cloudtest.Issuer
	aws    *cloudtest.AWS
	google *cloudtest.Google
	entra  *cloudtest.Entra
}

const (
	workload   = "system:serviceaccount:shop:reports"
	googlePool = "projects/123456789/locations/global/workloadIdentityPools/cluster"
)

var world = sync.OnceValue(func() clouds {
	internet := cloudtest.NewNetwork()
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example.test"})
	internet.Handle("oidc.example.test", issuer)
	return clouds{
		issuer: issuer,
		aws: cloudtest.NewAWS(cloudtest.AWSOptions{
			Transport: internet,
			Providers: []cloudtest.OIDCProvider{{Account: "123456789012", Issuer: issuer.URL(), Audiences: []string{"sts.amazonaws.com"}}},
			Roles:     []cloudtest.Role{{ARN: "arn:aws:iam::123456789012:role/reports", Issuer: issuer.URL(), Subjects: []string{workload}}},
		}),
		google: cloudtest.NewGoogle(cloudtest.GoogleOptions{
			Transport: internet,
			Providers: []cloudtest.PoolProvider{{Name: googlePool + "/providers/cluster", Issuer: issuer.URL()}},
			ServiceAccounts: []cloudtest.ServiceAccount{{
				Email:         "reports@shop-prod.iam.gserviceaccount.com",
				Impersonators: []string{"principal://iam.googleapis.com/" + googlePool + "/subject/" + workload},
			}},
		}),
		entra: cloudtest.NewEntra(cloudtest.EntraOptions{
			Transport: internet,
			Apps: []cloudtest.App{{
				TenantID: "11111111-2222-3333-4444-555555555555", ClientID: "66666666-7777-8888-9999-000000000000",
				Credentials: []cloudtest.FederatedCredential{{Issuer: issuer.URL(), Subject: workload, Audience: "api://AzureADTokenExchange"}},
			}},
		}),
	}
})

// setUp gives a script its token volume, $WORK/tokens, and addresses: those of the clouds, $AWS, $GOOGLE and
// $ENTRA, of a service that hands out the token for Google, $TOKENS, two that are free, $OUTLETS and $PROBES, and one that is taken, $TAKEN.
func setUp(env *testscript.Env) error {
	w := world()
	if err := projectTokens(filepath.Join(env.WorkDir, "tokens")); err != nil {
		return err
	}
	// Under the race detector each process would otherwise wait for a second before it ends.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	var calls counter
	env.Values[callsKey{}] = &calls
	for name, cloud := range map[string]http.Handler{"AWS": w.aws, "GOOGLE": w.google, "ENTRA": w.entra} {
		server := httptest.NewServer(calls.count(cloud))
		env.Defer(server.Close)
		env.Setenv(name, server.URL)
	}
	// A place that hands out the token for Google.
	tokens := httptest.NewServer(calls.count(http.FileServer(http.Dir(filepath.Join(env.WorkDir, "tokens")))))
	env.Defer(tokens.Close)
	env.Setenv("TOKENS", tokens.URL+"/google")
	env.Setenv("TAKEN", strings.TrimPrefix(env.Getenv("AWS"), "http://"))
	for _, name := range []string{"OUTLETS", "PROBES"} {
		address, release, err := reserve.Address()
		if err != nil {
			return err
		}
		env.Defer(release)
		env.Setenv(name, address)
	}
	return nil
}

// projectTokens makes a token volume, with one token for each cloud and the API server's own.
func projectTokens(dir string) error {
	w := world()
	kubelet, err := cloudtest.NewKubelet(cloudtest.KubeletOptions{
		Dir: dir,
		Tokens: []cloudtest.ProjectedToken{
			{Path: "aws", Audience: "sts.amazonaws.com"},
			{Path: "google", Audience: "https://iam.googleapis.com/" + googlePool + "/providers/cluster"},
			{Path: "azure", Audience: "api://AzureADTokenExchange"},
			{Path: "kubernetes", Audience: "https://kubernetes.default.svc"},
		},
		Mint: func(p cloudtest.ProjectedToken) string {
			return w.issuer.Mint(cloudtest.TokenOptions{
				Namespace: "shop", ServiceAccount: "reports", Pod: "reports-0", Audience: []string{p.Audience}, Lifetime: p.Lifetime,
			})
		},
	})
	if err != nil {
		return err
	}
	return kubelet.Rotate()
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func httpGet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: httpget STATUS URL [FIELD]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		status, body, err := fetch(args[1], args[2:])
		if err == nil && status == want {
			fmt.Fprint(ts.Stdout(), body)
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("GET %s: %d %s %v, want %d", args[1], status, body, err, want)
		}
	}
}

func fetch(url string, fields []string) (status int, body string, err error) {
	return ask(http.MethodGet, url, fields)
}

func ask(method, url string, fields []string) (status int, body string, err error) {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, "", err
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "USR1": syscall.SIGUSR1}
	if neg || len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: signal TERM|INT|USR1")
	}
	for _, command := range ts.BackgroundCmds() {
		ts.Check(command.Process.Signal(signals[args[0]]))
	}
}
