package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A bearer is what wisp get prints.
type bearer struct {
	Token     string    `json:"token"`
	TokenType string    `json:"tokenType"`
	ExpiresAt time.Time `json:"expiresAt"`

	took time.Duration // from the question to the answer
}

// A failure is what wisp run logs about an exchange.
type failure struct {
	Message string `json:"msg"`
	Class   string `json:"class"`
	Err     string `json:"err"`
	Hint    string `json:"hint"`
}

// oauthConfig writes a configuration with one identity and returns its path. options are those of
// oauthSTS, in YAML.
func oauthConfig(t *testing.T, subject, subjectType, options string) string {
	t.Helper()
	dir := t.TempDir()
	token, config := filepath.Join(dir, "token"), filepath.Join(dir, "config.yaml")
	writeFile(t, token, subject)
	writeFile(t, config, `
identities:
  - name: reports
    source: {file: {path: "`+token+`", type: `+subjectType+`}}
    exchange:
      oauthSTS: `+options+`
upstream: {allowInsecureLoopback: true}
health: {listen: "off"}
`)
	return config
}

// exchanged has wisp do one exchange.
func exchanged(t *testing.T, config string) bearer {
	t.Helper()
	get := exec.CommandContext(t.Context(), play.wisp, "get", "reports", "--config", config)
	var stderr bytes.Buffer
	get.Stderr = &stderr
	start := time.Now()
	out, err := get.Output()
	if err != nil {
		t.Fatalf("wisp get: %v, stderr %q", err, &stderr)
	}
	var b bearer
	if err := json.Unmarshal(out, &b); err != nil {
		t.Fatal("wisp get prints no JSON") // the error may quote the token
	}
	b.took = time.Since(start)
	return b
}

// failed runs wisp until it says why the first exchange failed.
func failed(t *testing.T, config string) failure {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), 5*time.Minute)
	defer end()
	run := exec.CommandContext(ctx, play.wisp, "run", "--config", config)
	stderr, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		end()
		_ = run.Wait() // killed
	}()
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var f failure
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatalf("wisp run: %s", lines.Text())
		}
		switch f.Message {
		case "exchange failed":
			return f
		case "credential refreshed":
			t.Fatal("wisp got a credential, want a refusal")
		}
	}
	t.Fatal("wisp ended and did not say why")
	return failure{}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
