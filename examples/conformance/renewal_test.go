package conformance_test

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	lifetimes = 3
	calls     = 100 // of each outlet, in that time
	commandly = 6   // runs of a command, which takes its time
	atLeast   = 3   // different credentials that each has to show
)

// Nobody may notice a renewal: over several lives of a credential no call fails, and all get the new ones.
func TestRenewal(t *testing.T) {
	if testing.Short() {
		t.Skipf("takes %d lifetimes of %v", lifetimes, lifetime)
	}
	account := "http://" + os.Getenv("GCE_METADATA_HOST") + "/computeMetadata/v1/instance/service-accounts/default"
	secret, err := os.ReadFile(os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	outlets := []struct {
		name string
		ask  func() ([]byte, error)
		key  string // member of the answer that tells credentials apart; empty: the answer itself
	}{
		{"awsContainer", get(os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), "Authorization", string(secret)), "AccessKeyId"},
		{"gceMetadata", get(account+"/token", "Metadata-Flavor", "Google"), "access_token"},
		{"gceMetadata, ID token", get(account+"/identity?audience=https://app.example", "Metadata-Flavor", "Google"), ""},
		{"appService", get(os.Getenv("IDENTITY_ENDPOINT")+"?api-version=2019-08-01&resource="+vault, "X-IDENTITY-HEADER", os.Getenv("IDENTITY_HEADER")), "access_token"},
		{"appService, older form", get(os.Getenv("MSI_ENDPOINT")+"?api-version=2017-09-01&resource="+vault, "secret", os.Getenv("MSI_SECRET")), "access_token"},
		{"azureIMDS", get(os.Getenv("MSAL_MANAGED_IDENTITY_ENDPOINT")+"?api-version=2018-02-01&resource="+arm, "Metadata", "true"), "access_token"},
		{"file of AWS", read("aws-credentials"), ""},
		{"file of Google", read("google-token.json"), "token"},
	}
	for _, o := range outlets {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			renewed(t, calls, atLeast, func() (string, error) {
				text, err := o.ask()
				if err != nil || o.key == "" {
					return string(text), err
				}
				return member(text, o.key)
			})
		})
	}
	for _, c := range commands {
		if c.shows == 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.mustBeThere(t)
			renewed(t, commandly, c.shows, func() (string, error) {
				out := c.run(t)
				c.check(t, out)
				return out, nil
			})
		})
	}
}

// renewed asks for a credential n times, evenly over the lifetimes. No call may fail, and at least so many
// have to be different.
func renewed(t *testing.T, n, different int, ask func() (string, error)) {
	seen := map[string]bool{}
	failures := 0
	start := time.Now()
	for range evenly(n, lifetimes*lifetime) {
		credential, err := ask()
		if err != nil {
			failures++
			t.Errorf("after %v: %v", time.Since(start).Round(time.Second), err)
			continue
		}
		seen[credential] = true
	}
	if len(seen) < different {
		t.Errorf("%d different credentials in %v, want at least %d", len(seen), time.Since(start), different)
	}
	t.Logf("%d calls in %v: %d failures, %d different credentials", n, time.Since(start).Round(time.Second), failures, len(seen))
}

// evenly yields n times, from the beginning to the end of a period.
func evenly(n int, period time.Duration) iter.Seq[int] {
	return func(yield func(int) bool) {
		clock := time.NewTicker(period / time.Duration(n-1))
		defer clock.Stop()
		for i := range n {
			if i > 0 {
				<-clock.C
			}
			if !yield(i) {
				return
			}
		}
	}
}

// get asks an HTTP outlet, by a client that has no memory, and does not come back.
func get(address, header, value string) func() ([]byte, error) {
	client := &http.Client{Timeout: time.Minute}
	return func() ([]byte, error) {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set(header, value)
		answer, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", answer.Status, body)
		}
		return body, err
	}
}

// read reads what wisp writes.
func read(name string) func() ([]byte, error) {
	return func() ([]byte, error) { return os.ReadFile(filepath.Join(play.dir, "out", name)) }
}

// member is a member of a JSON object, which has to have it.
func member(text []byte, name string) (string, error) {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return "", fmt.Errorf("the answer is no JSON object: %w", err)
	}
	value, _ := object[name].(string)
	if value == "" {
		return "", fmt.Errorf("the answer has no %s", name)
	}
	return value, nil
}
