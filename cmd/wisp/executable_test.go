package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/file"
)

// A run that hangs with the lock keeps nobody for longer than a library waits: the others say in time that
// there is no token.
func TestExecutableWaitsForNoLockPastItsTime(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "wisp.yaml")
	document := "identities: [{name: subject, source: {file: {path: " + filepath.Join(dir, "token") + "}}, exchange: {subject: {}}}]\nadmin: {socket: off}\n"
	if err := os.WriteFile(config, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	p := protocol{output: filepath.Join(dir, "token.json")}
	unlock, err := file.Lock(t.Context(), p.output+".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	var stdout bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		ended <- p.run(t.Context(), &globalFlags{config: config}, request{identity: "subject", timeout: 50 * time.Millisecond}, &stdout)
	}()
	select {
	case err := <-ended:
		var answer struct{ Success *bool }
		if e := json.Unmarshal(stdout.Bytes(), &answer); e != nil || answer.Success == nil || *answer.Success || exitCode(err) != 1 {
			t.Errorf("the answer is %s, exit code %d, want a failure and 1", &stdout, exitCode(err))
		}
	case <-time.After(time.Minute):
		t.Error("it still waits after a minute")
	}
}
