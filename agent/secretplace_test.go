package agent

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
)

func TestSecretFileIsMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets", "azure")
	secret, err := secretPlace{file: path}.read(false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// 32 bytes, in characters that every header field can hold, and no line break.
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).Match(text) || secret.Reveal() != string(text) {
		t.Errorf("the file holds %d characters, or others than read returns", len(text))
	}
	if got := mode(t, path); got != 0o600 {
		t.Errorf("the file's mode is %v, want 0600", got)
	}
	if got := mode(t, filepath.Dir(path)); got != 0o700 {
		t.Errorf("the directory's mode is %v, want 0700", got)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v, want the secret alone", entries, err)
	}

	// A restart must not change it: the application has read it long ago.
	again, err := secretPlace{file: path}.read(false)
	if err != nil || again != secret {
		t.Errorf("the second read = another secret, %v", err)
	}
	other, err := secretPlace{file: path + "-2"}.read(false)
	if err != nil || other == secret {
		t.Errorf("another file = the same secret, %v", err)
	}
}

// The umask is the whole process's, so the test runs in one of its own.
func TestSecretFileDoesNotDependOnTheUmask(t *testing.T) {
	const alone = "WISP_TEST_UMASK"
	if os.Getenv(alone) == "" {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command(program, "-test.v", "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), alone+"=1")
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	for _, umask := range []int{0o000, 0o022, 0o777} {
		for shared, want := range map[bool]struct{ file, directory fs.FileMode }{false: {0o600, 0o700}, true: {0o444, 0o755}} {
			path := filepath.Join(dir, strconv.Itoa(umask), strconv.FormatBool(shared), "secret")
			before := syscall.Umask(umask)
			secret, err := secretPlace{file: path}.read(shared)
			syscall.Umask(before)
			if err != nil || secret == "" {
				t.Errorf("umask %#o: read = %d characters, %v, want a secret", umask, len(secret), err)
				continue
			}
			if got := mode(t, path); got != want.file {
				t.Errorf("umask %#o, shared %v: the file's mode is %v, want %v", umask, shared, got, want.file)
			}
			if got := mode(t, filepath.Dir(path)); got != want.directory {
				t.Errorf("umask %#o, shared %v: the directory's mode is %v, want %v", umask, shared, got, want.directory)
			}
		}
	}
}

// What is not below the shared directory is for nobody else, wherever that is.
func TestSecretFilesOutsideOfShared(t *testing.T) {
	dir := t.TempDir()
	c := &Config{Shared: dir + "/run"}
	if err := os.Mkdir(c.Shared, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct{ file, directory fs.FileMode }{
		"/run/secrets/aws":    {0o444, 0o755},
		"/secrets/aws":        {0o600, 0o700},
		"/running/aws":        {0o600, 0o700},
		"/run/../private/aws": {0o600, 0o700},
	} {
		secret, err := c.secret(secretPlace{file: dir + path})
		if err != nil || secret == "" {
			t.Errorf("%s: secret = %d characters, %v, want one", path, len(secret), err)
			continue
		}
		if got := mode(t, dir+path); got != want.file {
			t.Errorf("%s: the file's mode is %v, want %v", path, got, want.file)
		}
		if got := mode(t, filepath.Dir(dir+path)); got != want.directory {
			t.Errorf("%s: the directory's mode is %v, want %v", path, got, want.directory)
		}
	}
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestSecretFileIsKept(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		problem string // empty if it can be used
	}{
		"sixteen characters":  {"0123456789abcdef", ""},
		"punctuation":         {"!~0123456789abcdef", ""},
		"fifteen characters":  {"0123456789abcde", "at least 16 visible ASCII"},
		"a line break":        {"0123456789abcdef\n", "a line break"},
		"a space":             {"0123456789 abcdef", "nothing else"},
		"not ASCII":           {"0123456789abcdeé", "nothing else"},
		"nothing":             {"", "is empty"},
		"a control character": {"0123456789abcdef\x7f", "nothing else"},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(test.content), 0o644); err != nil {
			t.Fatal(err)
		}
		secret, err := secretPlace{file: path}.read(false)
		switch {
		case test.problem == "":
			if err != nil || secret.Reveal() != test.content {
				t.Errorf("%s: read = %q, %v", name, secret.Reveal(), err)
			}
		case err == nil || !strings.Contains(err.Error(), test.problem) || !strings.Contains(err.Error(), path):
			t.Errorf("%s: read = %v, want %q about the file", name, err, test.problem)
		case len(test.content) > 0 && strings.Contains(err.Error(), test.content):
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
		if text, _ := os.ReadFile(path); string(text) != test.content {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestSecretFileThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "file", "secret")} {
		if _, err := (secretPlace{file: path}).read(false); err == nil {
			t.Errorf("read of %s gives a secret", path)
		}
	}
}

// Whoever is first, all agree.
func TestSecretFileRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets", "azure")
	var all [16]refresher.Secret
	var creators sync.WaitGroup
	start := make(chan struct{})
	for n := range all {
		creators.Go(func() {
			<-start
			secret, err := secretPlace{file: path}.read(false)
			if err != nil {
				t.Error(err)
			}
			all[n] = secret
		})
	}
	close(start)
	creators.Wait()
	for _, secret := range all {
		if secret != all[0] {
			t.Fatal("two creators have different secrets")
		}
	}
}

func TestSecretInEnvironment(t *testing.T) {
	const good = "0123456789abcdef0123456789abcdef"
	t.Setenv("WISP_TEST_SECRET", good)
	t.Setenv("WISP_TEST_SHORT", "hunter2")
	if secret, err := (secretPlace{env: "WISP_TEST_SECRET"}).read(false); err != nil || secret.Reveal() != good {
		t.Errorf("read = %q, %v", secret.Reveal(), err)
	}
	if _, err := (secretPlace{env: "WISP_TEST_SHORT"}).read(false); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("read of a short secret = %v, want an error without it", err)
	}
	if _, err := (secretPlace{env: "WISP_TEST_UNSET"}).read(false); err == nil || err.Error() != "environment variable WISP_TEST_UNSET is empty" {
		t.Errorf("read of what is not set = %v", err)
	}
	if secret, err := (secretPlace{}).read(false); err != nil || secret != "" {
		t.Errorf("read of no place = %q, %v, want no secret", secret.Reveal(), err)
	}
}
