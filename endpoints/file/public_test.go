package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/file"
)

// What only says how to get a credential is right for longer than any.
func TestWriterKeepsALastingFile(t *testing.T) {
	path := filepath.Join(private(t), "config")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path, Mode: 0o644, Lasting: true, Cleanup: file.CleanupOnExit})
		w.pass(time.Second)
		holds(t, path, "how to") // it needs no credential: whoever looks only once looks early
		w.give(bearer("how to"))
		w.pass(24 * time.Hour)
		holds(t, path, "how to")
		w.succeeds()
		must(t, os.Remove(path))
		w.pass(latest)
		holds(t, path, "how to") // it is looked after like any other
		w.stop()
		contains(t, filepath.Dir(path))
		if text := w.log.String(); strings.Contains(text, "credential") || strings.Contains(text, "expires") {
			t.Errorf("it is logged as if it held a secret:\n%s", text)
		}
	})
}

// A credential that everybody may read is worth a warning; what is no credential is not.
func TestWriterWarnsOfAFileForEverybody(t *testing.T) {
	for _, test := range []struct {
		options file.Options
		want    int
	}{
		{file.Options{}, 0},
		{file.Options{Mode: 0o640}, 0},
		{file.Options{Mode: 0o644}, 1},
		{file.Options{Mode: 0o644, Lasting: true}, 0},
	} {
		dir := private(t)
		synctest.Test(t, func(t *testing.T) {
			test.options.Path = filepath.Join(dir, "token")
			w := start(t, test.options)
			w.give(bearer("good"))
			w.stop()
			if n := strings.Count(w.log.String(), "may read the credential"); n != test.want {
				t.Errorf("mode %v, lasting %v: %d warnings, want %d:\n%s", test.options.Mode, test.options.Lasting, n, test.want, w.log)
			}
		})
	}
}
