package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// everyOutlet shows the three clouds in all ways.
const everyOutlet = `
outlets:
- identity: aws
  awsContainer: {listen: "${OUTLETS}", path: /aws/reports, secretFile: "${DIR}/secrets/aws"}
- identity: google
  gceMetadata: {listen: "${OUTLETS}", zone: europe-west1-b}
- identity: azure
  azureIMDS: {listen: "${OUTLETS}"}
- identity: azure
  appService: {listen: "${OUTLETS}", secretFile: "${DIR}/secrets/azure"}
- identity: aws
  file: {path: "${DIR}/out/aws", format: awsSharedCredentials, cleanup: onExit}
- identity: google
  file: {path: "${DIR}/out/google", format: token, mode: 0640, cleanup: never}
- identity: azure
  file: {path: "${DIR}/out/azure", format: json, resource: "https://vault.azure.net", cleanup: never}
drain: {min: 30m, max: 40m}
`

// The whole of it: three clouds, every outlet, the probes, the metrics and a gentle end.
func TestAgent(t *testing.T) {
	w := newWorld(t)
	clock := newOffset()
	a := w.agent(w.document(awsIdentity+googleIdentity+entraIdentity, everyOutlet), agent.Options{Clock: clock.clock()})
	_, ended := w.run(a)
	w.started()

	w.awsContainer()
	w.gceMetadata()
	w.azureIMDS()
	w.appService()
	w.files()
	if got := w.get(w.urls["OUTLETS"], "/nothing"); got.status != http.StatusNotFound {
		t.Errorf("an unknown path: %d %s", got.status, got.body)
	}
	for _, path := range []string{"/startupz", "/readyz", "/livez"} {
		if got := w.get(w.urls["PROBES"], path); got.status != http.StatusOK || got.body != "ok\n" {
			t.Errorf("%s = %d %q", path, got.status, got.body)
		}
	}
	w.metrics()

	a.Quit()
	a.Quit() // has no effect
	eventually(t, "readiness ends", func() bool {
		got := w.get(w.urls["PROBES"], "/readyz?verbose")
		return got.status == http.StatusServiceUnavailable && got.body == "wisp is shutting down\n"
	})
	if got := w.get(w.urls["PROBES"], "/livez"); got.status != http.StatusOK {
		t.Errorf("/livez while draining = %d %q", got.status, got.body)
	}
	w.azureIMDS() // whoever ends at the same time may need this
	clock.forward(31 * time.Minute)
	if err := wait(t, "Run returns", ended); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	for _, address := range []string{w.urls["OUTLETS"], w.urls["PROBES"]} {
		if _, err := net.Dial("tcp", address); err == nil {
			t.Errorf("%s still listens", address)
		}
	}
	for name, kept := range map[string]bool{"aws": false, "google": true, "azure": true} {
		if _, err := os.Stat(filepath.Join(w.dir, "out", name)); (err == nil) != kept {
			t.Errorf("the file of %s: %v, kept should be %v", name, err, kept)
		}
	}
}

// Clouds that repeat what they were sent, in their errors, do not get it into the log.
func TestEchoedTokensAreNotTold(t *testing.T) {
	w := newWorld(t)
	token := func(name string) string {
		text, err := os.ReadFile(filepath.Join(w.dir, "tokens", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEYabcd"
	w.secret(key)
	w.aws.Inject(cloudtest.Fault{Times: 2, Status: http.StatusInternalServerError, Body: fmt.Sprintf(
		"<ErrorResponse><Error><Code>InternalFailure</Code><Message>\x1b[31m%s\nsecret %s</Message></Error></ErrorResponse>", token("aws"), key)})
	w.google.Inject(cloudtest.Fault{Operation: "token", Times: 1, Status: http.StatusServiceUnavailable,
		Body: fmt.Sprintf(`{"error":"temporarily_unavailable","error_description":"%s %s"}`, token("google"), key)})
	w.google.Inject(cloudtest.Fault{Operation: "generateAccessToken", Times: 1, Status: http.StatusInternalServerError,
		Body: fmt.Sprintf(`{"error":{"code":500,"status":"INTERNAL","message":"Bearer ya29.d.%s"}}`, strings.Repeat("x", 240))})
	w.entra.Inject(cloudtest.Fault{Times: 2, Status: http.StatusServiceUnavailable,
		Body: fmt.Sprintf(`{"error":"temporarily_unavailable","error_description":"AADSTS90033: %s %s\r\nTrace ID: 1","error_codes":[90033]}`, token("azure"), key)})
	a := w.agent(w.document(awsIdentity+googleIdentity+entraIdentity, everyOutlet), agent.Options{})
	w.run(a)
	w.started()
	w.awsContainer()
	w.gceMetadata()
	w.azureIMDS()
	w.appService()
	if got := strings.Count(w.log.String(), `"msg":"exchange failed"`); got < 4 {
		t.Errorf("%d failures are in the log, want 4 or more", got)
	}
	// One line per entry, whatever a cloud sends.
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, `"level"`) && !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %q", line)
		}
	}
}

func TestSecondStopEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.agent(w.document(awsIdentity, `
outlets: [{identity: aws, awsContainer: {listen: "${OUTLETS}"}}]
drain: {min: 1h, max: 2h}
`), agent.Options{})
	stop, ended := w.run(a)
	w.started()
	a.Quit()
	eventually(t, "draining begins", func() bool {
		return w.get(w.urls["PROBES"], "/readyz").status == http.StatusServiceUnavailable
	})
	stop()
	if err := wait(t, "Run returns", ended); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// The order to end arrives while a cloud takes its time.
func TestQuitDuringAnExchange(t *testing.T) {
	w := newWorld(t)
	w.aws.Delay(time.Hour)
	old := filepath.Join(w.dir, "out", "aws")
	if err := os.WriteFile(old, []byte("of a former run"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := w.agent(w.document(awsIdentity, `
outlets:
- identity: aws
  awsContainer: {listen: "${OUTLETS}"}
- identity: aws
  file: {path: "${DIR}/out/aws", format: json, cleanup: onExit}
`), agent.Options{})
	_, ended := w.run(a)
	eventually(t, "the exchange begins", func() bool { return w.aws.Calls("AssumeRoleWithWebIdentity") > 0 })
	parked := make(chan answer, 1)
	go func() {
		got, err := w.try(w.urls["OUTLETS"], "/aws/aws")
		if err != nil {
			t.Errorf("the parked request: %v", err)
		}
		parked <- got
	}()
	if got := wait(t, "the parked request", parked); got.status != http.StatusServiceUnavailable {
		t.Errorf("the parked request: %d %s", got.status, got.body)
	}
	a.Quit()
	if err := wait(t, "Run returns", ended); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if text, err := os.ReadFile(old); err != nil || string(text) != "of a former run" {
		t.Errorf("the file of a former run is now %q, %v", text, err)
	}
}

// Without any listener there is still something to do.
func TestFilesAlone(t *testing.T) {
	w := newWorld(t)
	a := w.agent(w.document(awsIdentity, `
outlets: [{identity: aws, file: {path: "${DIR}/out/aws", format: json, cleanup: never}}]
upstream: {allowInsecureLoopback: true}
health: {listen: off}
`), agent.Options{})
	_, ended := w.run(a)
	path := filepath.Join(w.dir, "out", "aws")
	eventually(t, "the file", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	select {
	case err := <-ended:
		t.Fatalf("Run = %v before it was told to end", err)
	default:
	}
	a.Quit()
	if err := wait(t, "Run returns", ended); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// A port that somebody else has is the one thing that ends wisp, and then it keeps no other.
func TestBindError(t *testing.T) {
	for _, taken := range []string{"OUTLETS", "PROBES"} {
		t.Run(taken, func(t *testing.T) {
			w := newWorld(t)
			squatter, err := net.Listen("tcp", w.urls[taken])
			if err != nil {
				t.Fatal(err)
			}
			defer squatter.Close()
			a := w.agent(w.document(awsIdentity, `
outlets: [{identity: aws, awsContainer: {listen: "${OUTLETS}"}}]
`), agent.Options{})
			err = a.Run(t.Context())
			bind, ok := errors.AsType[*agent.BindError](err)
			if want := "listen on " + w.urls[taken] + ": bind: address already in use"; !ok || bind.Address != w.urls[taken] || err.Error() != want {
				t.Errorf("Run = %v, want %s", err, want)
			}
			for _, name := range []string{"OUTLETS", "PROBES"} {
				if name == taken {
					continue
				}
				l, err := net.Listen("tcp", w.urls[name])
				if err != nil {
					t.Errorf("the other listener is still open: %v", err)
					continue
				}
				l.Close()
			}
			if calls := w.aws.Calls(""); calls != 0 {
				t.Errorf("the cloud was asked %d times", calls)
			}
		})
	}
}

// What New cannot have, it says with line and path.
func TestNewReportsWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	t.Setenv("WISP_TEST_SECRET", "hunter2")
	open := filepath.Join(w.dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil { // past the umask
		t.Fatal(err)
	}
	c, err := agent.Parse("config.yaml", w.document(awsIdentity, `
outlets:
- identity: aws
  awsContainer: {listen: "${OUTLETS}", path: /a, secretEnv: WISP_TEST_SECRET}
- identity: aws
  awsContainer: {listen: "${OUTLETS}", path: /b, secretEnv: WISP_TEST_UNSET}
- identity: aws
  file: {path: "${DIR}/open/aws", format: json}
`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = agent.New(c, agent.Options{})
	want := []string{
		"config.yaml: line 8: outlets[0].awsContainer: environment variable WISP_TEST_SECRET must hold at least 16",
		"config.yaml: line 10: outlets[1].awsContainer: environment variable WISP_TEST_UNSET is empty",
		"config.yaml: line 12: outlets[2].file: " + open + "/aws: others can replace files in the directory",
	}
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("New = %v, want an error without the secret", err)
	}
	configError(t, err)
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("New = %v, want %d problems", err, len(want))
	}
	for n, line := range lines {
		if !strings.HasPrefix(line, want[n]) {
			t.Errorf("problem %d is %q, want %q", n, line, want[n])
		}
	}
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	clock := newStillClock()
	a := w.agent(w.document(awsIdentity, ""), agent.Options{Clock: clock.clock()})
	w.run(a)
	w.started()
	a.Refresh() // the first exchange was a moment ago
	if calls := w.aws.Calls(""); calls != 1 {
		t.Errorf("%d exchanges, want 1: a refresh is possible every ten seconds", calls)
	}
	clock.forward(11 * time.Second)
	a.Refresh()
	eventually(t, "another exchange", func() bool { return w.aws.Calls("") == 2 })
}

func TestIdentity(t *testing.T) {
	w := newWorld(t)
	a := w.agent(w.document(awsIdentity, ""), agent.Options{})
	if _, ok := a.Identity("other"); ok {
		t.Error("Identity(other) is known")
	}
	w.run(a)
	identity, ok := a.Identity("aws")
	if !ok {
		t.Fatal("Identity(aws) is not known")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := identity.Credential(ctx, agent.Target(nil, "", "")); err != nil {
		t.Error(err)
	}
}
