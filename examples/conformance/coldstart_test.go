package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/reserve"
)

// outage is how long the cloud of the test refuses connections, as the network of a young Pod does.
const outage = 20 * time.Second

// A wisp that starts before the network does: callers are told to come back, what needs no credential
// is answered, and the first credential follows soon after the network. How soon is printed; the bound
// of the engine, five seconds, is tested in virtual time.
func TestColdStart(t *testing.T) {
	if testing.Short() {
		t.Skipf("takes more than %v", outage)
	}
	t.Parallel()
	playground, err := os.ReadFile(filepath.Join(play.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	sts, outlets := freeAddress(t), freeAddress(t)
	config := filepath.Join(t.TempDir(), "wisp.yaml")
	document := fmt.Sprintf(`
upstream: {allowInsecureLoopback: true}
health: {listen: "off"}
identities:
  - name: cold
    source: {file: {path: %q}}
    exchange:
      aws: {roleArn: %q, region: eu-west-1, endpoint: "http://%s"}
  - name: google
    source: {file: {path: %q}}
    exchange:
      google: {audience: %q, serviceAccount: %q, tokenUrl: "http://%s", impersonationUrl: "http://%s"}
outlets:
  - identity: cold
    awsContainer: {listen: %q, path: /cold}
  - identity: google
    gceMetadata: {listen: %q}
`, filepath.Join(play.dir, "volume/aws/token"), part(playground, `roleArn: "(.*)"`), sts,
		filepath.Join(play.dir, "volume/google/token"), part(playground, `audience: "(.*)"`), googleAccount, sts, sts,
		outlets, outlets)
	if err := os.WriteFile(config, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, end := context.WithTimeout(t.Context(), 10*outage)
	defer end()
	var log bytes.Buffer
	wisp := exec.CommandContext(ctx, play.wisp, "run", "--config", config)
	wisp.Stderr = &log
	wisp.Cancel = func() error { return wisp.Process.Signal(syscall.SIGTERM) }
	start := time.Now()
	if err := wisp.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		end()
		_ = wisp.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()

	// The outage: nothing listens where STS should be.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	seen := map[int]int{}
	for time.Since(start) < outage {
		status, retry, err := statusOf(ctx, client, "http://"+outlets+"/cold")
		if err != nil {
			continue // it does not listen yet
		}
		seen[status]++
		if status != http.StatusServiceUnavailable || retry != "1" {
			t.Fatalf("without a credential the answer is %d, Retry-After %q; want 503 and 1", status, retry)
		}
		email := "http://" + outlets + "/computeMetadata/v1/instance/service-accounts/default/email"
		if status, _, err := statusOf(ctx, client, email); err != nil || status != http.StatusOK {
			t.Fatalf("the e-mail needs no credential, but the answer is %d (%v)", status, err)
		}
	}

	// The network is there.
	relay(t, sts, part(playground, `endpoint: "http://(.*)"`))
	for {
		status, _, err := statusOf(ctx, client, "http://"+outlets+"/cold")
		if err == nil && status == http.StatusOK {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("no credential after %v; the last answer was %d (%v)", time.Since(start), status, err)
		}
	}
	t.Logf("STS refused connections for %v; first credential after %v; answers before: %v",
		outage, time.Since(start).Round(10*time.Millisecond), seen)
}

func statusOf(ctx context.Context, client *http.Client, url string) (status int, retryAfter string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Metadata-Flavor", "Google")
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("Retry-After"), err
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

// relay passes connections to address on to target until the test ends.
func relay(t *testing.T, address, target string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				to, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer to.Close()
				go io.Copy(to, from)
				_, _ = io.Copy(from, to)
			}()
		}
	}()
}
