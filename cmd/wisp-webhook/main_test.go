package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writeKubeconfig writes a kubeconfig for an API server.
func writeKubeconfig(t *testing.T, server string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q}}]
contexts: [{name: test, context: {cluster: test}}]
current-context: test
`, server)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCommandLine(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // this is no Pod
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`{"image": "", "port": 80, "colour": "red"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	policy, kubeconfig := filepath.Join("testdata", "policy.json"), writeKubeconfig(t, "http://127.0.0.1:1")
	good := []string{"run", "--policy", policy, "--tls-dir", dir, "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"}
	with := func(args ...string) []string { return append(good[:len(good):len(good)], args...) }

	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr []string
	}{
		{"version", []string{"version"}, 0, "wisp-webhook " + version + "\n", nil},
		{"no command", []string{}, 2, "", []string{"a command is missing"}},
		{"an unknown command", []string{"serve"}, 2, "", []string{`wisp-webhook: unknown command "serve"`}},
		{"an unknown flag", []string{"run", "--port", "1"}, 2, "", []string{"unknown flag: --port"}},
		{"an argument too many", []string{"run", "now"}, 2, "", []string{`wisp-webhook run: unknown command "now"`}},
		{"nothing that is required", []string{"run"}, 2, "", []string{"--policy is missing", "--tls-dir is missing"}},
		{"every flag is wrong", []string{"run", "--policy", "nowhere.json", "--log-level", "loud", "--max-in-flight", "0", "--drain", "2h"}, 2, "", []string{
			"--policy: open nowhere.json: no such file", "--tls-dir is missing", `--log-level is "loud", want debug, info, warn or error`,
			"--max-in-flight is 0, want 1 or more", "--drain is 2h0m0s, want 0s to 1m",
		}},
		{"a drain that is over before it begins", with("--drain", "-1s"), 2, "", []string{"--drain is -1s, want 0s to 1m"}},
		{"a bad policy: all its problems", with("--policy", bad), 2, "", []string{"bad.json", "image", "port", "colour"}},
		{"not a Pod, and no kubeconfig", with("--kubeconfig", ""), 1, "", []string{"the way to the API server: unable to load in-cluster configuration"}},
		{"a kubeconfig that is not there", with("--kubeconfig", "nowhere"), 1, "", []string{"the way to the API server", "nowhere"}},
		{"a port that is taken", with("--listen", taken.Addr().String()), 3, "", []string{"--listen", "address already in use"}},
		{"a port for probes that is taken", with("--health", taken.Addr().String()), 3, "", []string{"--health", "address already in use"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, &stdout, &stderr)
			if code != test.code || stdout.String() != test.stdout {
				t.Errorf("exit code %d and %q, want %d and %q; standard error:\n%s", code, &stdout, test.code, test.stdout, &stderr)
			}
			if !containsAll(stderr.String(), test.stderr) || (test.stderr == nil && stderr.Len() > 0) {
				t.Errorf("standard error is\n%swant %q", &stderr, test.stderr)
			}
		})
	}
}

func TestRunUntilSIGTERM(t *testing.T) {
	api, ca, volume := newShop(t), newAuthority(t), &secretVolume{dir: t.TempDir()}
	chain, key := ca.issue(t, 1, time.Now().Add(time.Hour))
	volume.write(t, chain, key)
	log := newLogLines()
	code := make(chan int)
	go func() {
		code <- run(t.Context(), []string{
			"run", "--policy", filepath.Join("testdata", "policy.json"), "--tls-dir", volume.dir,
			"--kubeconfig", writeKubeconfig(t, api.server.URL), "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0", "--drain", "1ms",
		}, &bytes.Buffer{}, log)
	}()
	log.await(t, `"msg":"wisp-webhook runs"`, `"version":"`+version)
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != 0 {
		t.Errorf("exit code %d, want 0; the log has\n%s", got, log.drained())
	}
	if lines := log.drained(); !strings.Contains(lines, `"msg":"shutting down"`) || strings.Contains(lines, `"level":"ERROR"`) {
		t.Errorf("the log has\n%s", lines)
	}
}

// Whoever cannot wait sends a second signal.
func TestObey(t *testing.T) {
	r := start(t, time.Hour)
	signals := make(chan os.Signal, 2)
	stopped := make(chan struct{})
	go obey(t.Context(), signals, r.webhook, func() { close(stopped) })
	signals <- syscall.SIGTERM
	r.log.await(t, "shutting down")
	select {
	case <-stopped:
		t.Error("the first signal ends it at once")
	default:
	}
	signals <- syscall.SIGTERM
	<-stopped
}

// What client-go logs becomes what the webhook logs, whenever that is set.
func TestDefaultLog(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	log, lines := slog.New(defaultLog{}), newLogLines()
	slog.SetDefault(slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log.Info("not told")
	log.Warn("told")
	log.With("a", 1).WithGroup("g").Error("more", "b", 2)
	got := lines.drained()
	for _, want := range []string{`"level":"WARN","msg":"told"}`, `"level":"ERROR","msg":"more","a":1,"g":{"b":2}}`} {
		if !strings.Contains(got, want) {
			t.Errorf("the log has\n%swant %s in it", got, want)
		}
	}
	if strings.Contains(got, "not told") {
		t.Errorf("the log has what is below its level:\n%s", got)
	}
}
