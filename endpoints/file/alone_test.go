package file_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// alone runs the test once more in a process of its own, for what a process has only one of: its umask,
// its limits, the file systems that it sees. It reports whether this is that process; the other one
// has the result already and returns. Start prepares the new process.
func alone(t *testing.T, start ...func(*exec.Cmd)) bool {
	t.Helper()
	const variable = "WISP_TEST_ALONE"
	if os.Getenv(variable) == t.Name() {
		return true
	}
	program, err := os.Executable()
	must(t, err)
	child := exec.Command(program, "-test.v", "-test.run=^"+regexp.QuoteMeta(t.Name())+"$")
	child.Env = append(os.Environ(), variable+"="+t.Name())
	for _, prepare := range start {
		prepare(child)
	}
	out, err := child.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP: "+t.Name()) {
		t.Skipf("in a process of its own:\n%s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a process of its own: %v\n%s", err, out)
	}
	return false
}
