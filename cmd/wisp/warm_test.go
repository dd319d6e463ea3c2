package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// What a program that an SDK runs costs, beside a running wisp and without one: whole processes, of the
// binary as it is built here.
func BenchmarkCommand(b *testing.B) {
	dir := b.TempDir()
	wisp := filepath.Join(dir, "wisp")
	if out, err := exec.Command("go", "build", "-tags", "nethttpomithttp2", "-o", wisp, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	token := world().issuer.Mint(cloudtest.TokenOptions{Namespace: "shop", ServiceAccount: "reports", Pod: "reports-0", Audience: []string{"sts.amazonaws.com"}})
	var calls counter
	aws := httptest.NewServer(calls.count(world().aws))
	defer aws.Close()
	config, socket := filepath.Join(dir, "wisp.yaml"), filepath.Join(dir, "admin.sock")
	document := fmt.Sprintf(`
identities:
  - name: aws
    source: {file: {path: %q}}
    exchange: {aws: {roleArn: "arn:aws:iam::123456789012:role/reports", endpoint: %q}}
upstream: {allowInsecureLoopback: true}
health: {listen: "off"}
admin: {socket: %q}
`, filepath.Join(dir, "token"), aws.URL, socket)
	for name, text := range map[string]string{"token": token, "wisp.yaml": document} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	running := exec.Command(wisp, "run", "--config", config)
	if err := running.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = running.Process.Signal(syscall.SIGTERM)
		_ = running.Wait()
	}()
	if out, err := exec.Command(wisp, "wait", "--admin", socket).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []struct {
		name string
		args []string
		asks bool // the cloud, each time
	}{
		{"warm", []string{"credential-process", "aws", "--admin", socket}, false},
		{"warm, with the configuration", []string{"credential-process", "aws", "--config", config}, false},
		{"alone", []string{"credential-process", "aws", "--config", config, "--admin", "off"}, true},
		{"version", []string{"version"}, false}, // what any process costs
	} {
		b.Run(test.name, func(b *testing.B) {
			before, runs := calls.n.Load(), 0
			for b.Loop() {
				runs++
				if out, err := exec.Command(wisp, test.args...).CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
			if asked := calls.n.Load() - before; asked != 0 && !test.asks || test.asks && asked != int64(runs) {
				b.Errorf("%d runs have asked the cloud %d times", runs, asked)
			}
		})
	}
}
