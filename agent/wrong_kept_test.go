package agent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// A setback is something that worked when the credential came, and does not when it is to be renewed.
type setback struct {
	wrongInput                        // around: it works
	breaks, mends func(w *wrongWorld) // afterwards
	// lasts is how long what was read before goes on to be of use.
	lasts time.Duration
}

// Whatever breaks, the credential that is there is served to its end, and everybody can see why there
// is no newer one; and there is one again when it is mended.
func TestLastGoodCredentialIsKept(t *testing.T) {
	services := wrongServices(t)
	for _, s := range append(brokenSources(), brokenClouds()...) {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWrongWorld(t, services)
				s.around(w)
				a, err := w.agent(s.wrongInput)
				if err != nil {
					t.Fatal(err)
				}
				defer w.run(a, "below", "reports")()
				reports, _ := a.Identity("reports")
				w.keeps(a, s, time.Sleep, func(state refresher.State) {
					for begin := time.Now(); reports.Status().State != state && time.Since(begin) < 10*time.Minute; {
						time.Sleep(time.Second)
					}
				})
			})
		})
	}
}

// A program is the one source that needs real time.
func TestLastGoodCredentialOfAProgramIsKept(t *testing.T) {
	t.Parallel()
	w := newWrongWorld(t, wrongServices(t))
	prints := func(w *wrongWorld) {
		text, err := json.Marshal(map[string]any{
			"version": 1, "success": true, "token_type": refresher.TypeJWT,
			"id_token": w.secret(issuer().Mint(cloudtest.TokenOptions{})),
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.file("document", string(text))
	}
	s := setback{
		wrongInput: wrongInput{
			source:   `executable: {command: [/bin/sh, -c, 'exec cat "$HOME/document"'], env: [HOME], audience: reports}`,
			exchange: "subject: {}", around: prints,
		},
		breaks: func(w *wrongWorld) { w.remove("document") }, mends: prints,
	}
	w.environ["HOME"] = w.dir
	s.around(w)
	// It stands still, or the source would be tried again, by chance right when it is mended.
	clock := newStillClock()
	w.clock = clock.clock()
	a, err := w.agent(s.wrongInput)
	if err != nil {
		t.Fatal(err)
	}
	defer w.run(a, "reports")()
	reports, _ := a.Identity("reports")
	w.keeps(a, s, clock.forward, func(state refresher.State) {
		eventually(t, string(state), func() bool { return reports.Status().State == state })
	})
}

// keeps tells the story. pass lets time pass, and settle waits until the state can be expected.
func (w *wrongWorld) keeps(a *agent.Agent, s setback, pass func(time.Duration), settle func(refresher.State)) {
	w.t.Helper()
	reports, _ := a.Identity("reports")
	ask := func(state refresher.State) refresher.Credential {
		w.t.Helper()
		settle(state)
		if got := reports.Status().State; got != state {
			w.t.Fatalf("the state is %s, want %s; the last failure: %v", got, state, reports.Status().Failure)
		}
		c, err := reports.Credential(w.t.Context(), refresher.Target{})
		if err != nil {
			w.t.Fatalf("%s, but no credential: %v", state, err)
		}
		return c
	}
	good := ask(refresher.Fresh)

	const between = 11 * time.Second // refreshes that somebody asks for
	s.breaks(w)
	pass(s.lasts + between)
	if !reports.Refresh() {
		w.t.Fatal("the refresh was not accepted")
	}
	if kept := ask(refresher.Stale); kept != good {
		w.t.Errorf("the credential until %v was replaced by one until %v", good.Expires, kept.Expires)
	}
	failure := reports.Status().Failure
	if failure == nil || failure.Error() == "" {
		w.t.Fatal("the failure is not told")
	}
	w.lookForSecrets(failure.Error() + failure.Hint)

	s.mends(w)
	pass(between)
	reports.Refresh() // if it has not been tried again already
	if renewed := ask(refresher.Fresh); renewed.Value == good.Value {
		w.t.Error("the credential was not renewed")
	}
	if failure := reports.Status().Failure; failure != nil {
		w.t.Errorf("a failure is told that has been mended: %v", failure)
	}
}

func (w *wrongWorld) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}

// brokenSources are all kinds of sources but the executable, while the cloud is well.
func brokenSources() []setback {
	none := func(*wrongWorld) {}
	to := func(role string) string {
		return `aws: {roleArn: "arn:aws:iam::123456789012:role/` + role + `", region: eu-west-1}`
	}
	short := func(w *wrongWorld) {
		w.file("token", w.token("sts.amazonaws.com", cloudtest.TokenOptions{Lifetime: 10 * time.Minute}))
	}
	gives := func(w *wrongWorld) {
		w.answer("tokens.example", 200, "application/json", `{"token":"`+w.token("sts.amazonaws.com", cloudtest.TokenOptions{})+`"}`)
	}
	fails := func(w *wrongWorld) { w.answer("tokens.example", 503, "text/plain", "out of order") }
	refuses := func(on bool, service func(*wrongWorld) interface{ Refuse(bool) }) func(*wrongWorld) {
		return func(w *wrongWorld) { service(w).Refuse(on) }
	}
	outage := func(name, source, exchange, before string, around func(*wrongWorld), of func(*wrongWorld) interface{ Refuse(bool) }) setback {
		return setback{wrongInput{name, source, exchange, before, around}, refuses(true, of), refuses(false, of), 0}
	}
	return []setback{
		// The last good token is used for as long as it lives.
		{wrongInput{"file", wrongFile, wrongToAWS, "", short}, func(w *wrongWorld) { w.remove("token") }, short, 15 * time.Minute},
		{wrongInput{"url", wrongURL, wrongToAWS, "", gives}, fails, gives, 0},
		{wrongInput{"subject", wrongURL, "subject: {}", "", gives}, fails, gives, 0},
		outage("githubActions", "githubActions: {}", to("github"), "", func(w *wrongWorld) {
			w.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] = w.GitHub.RequestURL()
			w.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = w.secret(w.GitHub.RequestToken())
		}, func(w *wrongWorld) interface{ Refuse(bool) } { return w.GitHub }),
		outage("azureIMDS", `azureIMDS: {resource: "api://wisp-aws"}`, to("azure"), "", none,
			func(w *wrongWorld) interface{ Refuse(bool) } { return w.AzureIMDS }),
		outage("gceMetadata", "gceMetadata: {}", to("gce"), "", none,
			func(w *wrongWorld) interface{ Refuse(bool) } { return w.GCE }),
		outage("awsCallerIdentity of an instance", "awsCallerIdentity: {}", wrongToAmazon, "", none,
			func(w *wrongWorld) interface{ Refuse(bool) } { return w.EC2 }),
		outage("awsCallerIdentity of a container", "awsCallerIdentity: {region: eu-west-1}", wrongToAmazon, "", func(w *wrongWorld) {
			w.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23" + w.Container.Path()
			w.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = w.secret(w.Container.Authorization())
		}, func(w *wrongWorld) interface{ Refuse(bool) } { return w.Container }),
		outage("awsCallerIdentity of an identity", "awsCallerIdentity: {identity: below}", wrongToAmazon,
			"\n- name: below\n  source: {"+wrongFile+"}\n  exchange: {"+wrongToAWS+"}", tokenFile("sts.amazonaws.com"),
			func(w *wrongWorld) interface{ Refuse(bool) } { return w.AWS }), // whom Google asks, too
		outage("identity", "identity: {name: below, audience: sts.amazonaws.com}", to("google"),
			"\n- name: below\n  source: {"+wrongFile+"}\n  exchange: {"+wrongToGoogle+"}", tokenFile("https:"+wrongPool+"/providers/kubernetes"),
			func(w *wrongWorld) interface{ Refuse(bool) } { return w.Google }),
	}
}

// brokenClouds are those that have changed their mind about the workload.
func brokenClouds() []setback {
	const (
		role    = "arn:aws:iam::123456789012:role/fickle"
		account = "fickle@shop-prod.iam.gserviceaccount.com"
		app     = "77777777-7777-4777-8777-777777777777"
		tenant  = "11111111-2222-3333-4444-555555555555"
	)
	subjects := map[bool][]string{true: {workload}}
	impersonators := map[bool][]string{true: {"principalSet:" + wrongPool + "/*"}}
	secrets := map[bool]string{true: wrongOAuthSecret, false: "another one"}
	audience := func(cloud int) func(*wrongWorld) { return tokenFile(wrongClouds[cloud].audience) }
	change := func(name, exchange string, good func(*wrongWorld), allow func(w *wrongWorld, allowed bool)) setback {
		allowed := func(w *wrongWorld) { allow(w, true) }
		return setback{
			wrongInput{name, wrongFile, exchange, "", func(w *wrongWorld) { good(w); allowed(w) }},
			func(w *wrongWorld) { allow(w, false) }, allowed, 0,
		}
	}
	return []setback{
		change("aws", `aws: {roleArn: "`+role+`", region: eu-west-1}`, audience(0), func(w *wrongWorld, allowed bool) {
			w.AWS.PutRole(cloudtest.Role{ARN: role, Issuer: w.Kubernetes.URL(), Subjects: subjects[allowed]})
		}),
		change("google", `google: {audience: "`+wrongPool+`/providers/kubernetes", serviceAccount: `+account+`}`, audience(1), func(w *wrongWorld, allowed bool) {
			w.Google.PutServiceAccount(cloudtest.ServiceAccount{Email: account, Impersonators: impersonators[allowed]})
		}),
		change("entra", "entra: {tenantId: "+tenant+", clientId: "+app+"}", audience(2), func(w *wrongWorld, allowed bool) {
			w.Entra.PutApp(cloudtest.App{TenantID: tenant, ClientID: app, Credentials: []cloudtest.FederatedCredential{{
				Issuer: w.Kubernetes.URL(), Subject: append(subjects[allowed], "nobody")[0], Audience: "api://AzureADTokenExchange",
			}}})
		}),
		change("oauthSTS", `oauthSTS: {tokenUrl: "https://sts.example/token", audience: ["https://reports.example"], clientId: fickle, clientSecretFile: "${DIR}/client-secret"}`,
			audience(3), func(w *wrongWorld, allowed bool) {
				w.OAuth.PutClient(cloudtest.OAuthClient{ID: "fickle", Auth: "client_secret_basic", Secret: secrets[allowed]})
			}),
	}
}
