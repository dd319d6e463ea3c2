package agent_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/agent"
)

// golden compares text with a file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *agent.Update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// documentsDir is what documents may call ${DIR}, for paths that have to be absolute.
func documentsDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("testdata", "config"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// documents are the files that match a pattern below testdata/config, by name.
func documents(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "config", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no documents match %s: %v", pattern, err)
	}
	texts := map[string][]byte{}
	for _, name := range names {
		if filepath.Ext(name) == ".golden" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = bytes.ReplaceAll(text, []byte("${DIR}"), []byte(documentsDir(t)))
	}
	return texts
}
