package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A keycloak is a server on loopback, behind a proxy that takes down what it answers.
type keycloak struct {
	url string

	mu      sync.Mutex
	refusal string // guarded by mu: the last one of a token endpoint, as `400 {"error":…}`
}

// startKeycloak starts one with the realms in testdata/keycloak/VARIANT, in which $NAME stands for
// values[NAME]. It ends with the test. What it wrote to its log is shown if the test fails.
func startKeycloak(t *testing.T, variant, features string, values map[string]string) *keycloak {
	t.Helper()
	home := filepath.Join(t.TempDir(), "keycloak")
	if err := os.CopyFS(home, os.DirFS(installKeycloak(t, variant, features))); err != nil {
		t.Fatal(err)
	}
	writeRealms(t, variant, filepath.Join(home, "data", "import"), values)
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	k := new(keycloak)
	k.listen(t, &url.URL{Scheme: "http", Host: address})

	var log bytes.Buffer
	server := outside(exec.CommandContext(t.Context(), filepath.Join(home, "bin", "kc.sh"), "start", "--optimized", "--import-realm",
		"--cache=local", "--http-enabled=true", "--http-host=127.0.0.1", "--http-port="+port, "--hostname="+k.url))
	// The better one of Java's compilers costs more than it gains in a run this short.
	server.Env = append(slices.Clip(server.Env), "JAVA_OPTS_KC_HEAP=-Xms64m -Xmx512m", "JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1")
	server.Stdout, server.Stderr = &log, &log
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // kc.sh, and Java below it
	server.Cancel = func() error { return syscall.Kill(-server.Process.Pid, syscall.SIGKILL) }
	start := time.Now()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait() // killed by the end of the test's context, if nothing is wrong
		close(ended)
	}()
	t.Cleanup(func() {
		<-ended
		if t.Failed() {
			t.Logf("Keycloak's log:\n%s", &log)
		}
	})
	k.await(t, ended)
	t.Logf("Keycloak %s (%s) started in %v", keycloakVersion, variant, time.Since(start).Round(100*time.Millisecond))
	return k
}

// writeRealms writes what Keycloak imports.
func writeRealms(t *testing.T, variant, dir string, values map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "keycloak", variant, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("realms of %s: %d files, %v", variant, len(files), err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		realm := expand(t, string(text), values, func(value string) string {
			quoted, _ := json.Marshal(value) // a string always has a JSON form
			return strings.Trim(string(quoted), `"`)
		})
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(realm), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// expand replaces each $NAME in text.
func expand(t *testing.T, text string, values map[string]string, quote func(string) string) string {
	t.Helper()
	return os.Expand(text, func(name string) string {
		value, known := values[name]
		if !known {
			t.Fatalf("nobody says what $%s is", name)
		}
		return quote(value)
	})
}

// listen opens the proxy, whose address is Keycloak's to everybody.
func (k *keycloak) listen(t *testing.T, server *url.URL) {
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(server) },
		ModifyResponse: k.note,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway) // it is starting
		},
	})
	t.Cleanup(front.Close)
	k.url = front.URL
}

// note remembers a refusal.
func (k *keycloak) note(answer *http.Response) error {
	if answer.StatusCode == http.StatusOK || answer.Request.Method != http.MethodPost {
		return nil
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refusal = fmt.Sprintf("%d %s", answer.StatusCode, body)
	return nil
}

// lastRefusal returns the last refusal, and forgets it.
func (k *keycloak) lastRefusal() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	refusal := k.refusal
	k.refusal = ""
	return refusal
}

// await waits until the realm is there.
func (k *keycloak) await(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	deadline := time.After(10 * time.Minute)
	clock := time.NewTicker(100 * time.Millisecond)
	defer clock.Stop()
	for {
		if answer, err := http.Get(k.realm("wisp") + "/.well-known/openid-configuration"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-clock.C:
		case <-ended:
			t.Fatal("Keycloak ended before it was ready")
		case <-deadline:
			t.Fatal("Keycloak was not ready in time")
		}
	}
}

// realm is the issuer.
func (k *keycloak) realm(name string) string { return k.url + "/realms/" + name }

// token is the access token of a client's own account.
func (k *keycloak) token(t *testing.T, realm, client, secret string) string {
	t.Helper()
	answer, err := http.PostForm(k.realm(realm)+"/protocol/openid-connect/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := member(body, "access_token")
	if err != nil {
		t.Fatalf("the token of %s: %s: %v", client, answer.Status, err)
	}
	return token
}
