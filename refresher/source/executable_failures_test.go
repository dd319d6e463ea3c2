package source_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

// temporary is the part of a path that is another each time.
var temporary = regexp.MustCompile(`/\S*/TestExecutableFailures[^/]*`)

// script is a file to be refused; none of them is ever run.
func script(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(safeDir(t), "tool")
	write(t, path, text)
	chmod(t, path, mode)
	return path
}

// TestExecutableFailures has one line of remedy for each thing that can be wrong.
func TestExecutableFailures(t *testing.T) {
	good := document(t, hourToken(1), refresher.TypeJWT, time.Time{})
	expired := jwt(claims{"exp": 1620499962})
	failure, err := execsource.Response{Failure: &execsource.Failure{
		Code: "40\n1", Message: "Caller not authorized:\x1b[31m " + expired,
	}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	leash := newLeash(t)
	output := filepath.Join(t.TempDir(), "output")
	play := func(role ...string) func(*testing.T) *source.Executable {
		return func(t *testing.T) *source.Executable { return playing(t, source.ExecutableOptions{}, role...) }
	}
	run := func(path string, o source.ExecutableOptions) *source.Executable {
		o.Command = []string{path}
		return playing(t, o)
	}
	var report bytes.Buffer
	for _, test := range []struct {
		name string
		make func(t *testing.T) *source.Executable
	}{
		{"it hangs", func(t *testing.T) *source.Executable {
			e := playing(t, source.ExecutableOptions{}, "hang", leash.path)
			e.SetPatience(50*time.Millisecond, 0)
			return e
		}},
		{"it prints 10 MiB", play("flood", "10485760")},
		{"it prints one byte more than 64 KiB", play("flood", "65537")},
		{"what it started keeps its standard output", func(t *testing.T) *source.Executable {
			e := playing(t, source.ExecutableOptions{}, "leave", newLeash(t).path, good, "stdout")
			e.SetPatience(0, 50*time.Millisecond)
			return e
		}},
		{"it exits with 3", play("exit", "3", "", "")},
		{"it exits with 3 and complains", play("exit", "3", "", "password is hunter2\n")},
		{"it exits with 3 after a good document", play("exit", "3", good, "")},
		{"it exits with 1 after a failure document", play("exit", "1", string(failure), "x")},
		{"it exits with 0 after a failure document", play("print", string(failure))},
		{"it is killed", play("die")},
		{"it prints nothing", play("print", "")},
		{"it prints a token alone", play("print", hourToken(1))},
		{"it prints two documents", play("print", good+"\n"+good)},
		{"it prints a document without a version", play("print", strings.Replace(good, `"version":1,`, "", 1))},
		{"it prints a document without a token", play("print", `{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:jwt"}`)},
		{"it prints no expiry for an output file", func(t *testing.T) *source.Executable {
			return playing(t, source.ExecutableOptions{OutputFile: output}, "print", good)
		}},
		{"it prints SAML, and a JWT is configured", play("print", document(t, segment([]byte("<a/>")), refresher.TypeSAML2, time.Time{}))},
		{"it prints a JWT, and SAML is configured", func(t *testing.T) *source.Executable {
			return playing(t, source.ExecutableOptions{TokenType: refresher.TypeSAML2}, "print", good)
		}},
		{"its token is no JWT", play("print", document(t, "opaque", refresher.TypeJWT, time.Time{}))},
		{"it is missing", func(t *testing.T) *source.Executable {
			return run(filepath.Join(safeDir(t), "tool"), source.ExecutableOptions{})
		}},
		{"it is a directory", func(t *testing.T) *source.Executable { return run(safeDir(t), source.ExecutableOptions{}) }},
		{"it is not executable", func(t *testing.T) *source.Executable {
			return run(script(t, "#!/bin/sh\n", 0o644), source.ExecutableOptions{})
		}},
		{"its interpreter is missing", func(t *testing.T) *source.Executable {
			return run(script(t, "#!/nonexistent/sh\n", 0o755), source.ExecutableOptions{})
		}},
		{"it is no program", func(t *testing.T) *source.Executable {
			return run(script(t, "hello\n", 0o755), source.ExecutableOptions{})
		}},
		{"its group may write to it", func(t *testing.T) *source.Executable {
			return run(script(t, "#!/bin/sh\n", 0o775), source.ExecutableOptions{})
		}},
		{"its group may write to its directory", func(t *testing.T) *source.Executable {
			path := script(t, "#!/bin/sh\n", 0o755)
			chmod(t, filepath.Dir(path), 0o770)
			return run(path, source.ExecutableOptions{})
		}},
		{"it is in a directory like /tmp", func(t *testing.T) *source.Executable {
			path := script(t, "#!/bin/sh\n", 0o755)
			chmod(t, filepath.Dir(path), 0o777|os.ModeSticky)
			return run(path, source.ExecutableOptions{})
		}},
		{"everybody may write to the directory of a link to it", func(t *testing.T) *source.Executable {
			path := filepath.Join(safeDir(t), "tool")
			if err := os.Symlink(script(t, "#!/bin/sh\n", 0o755), path); err != nil {
				t.Fatal(err)
			}
			chmod(t, filepath.Dir(path), 0o777)
			return run(path, source.ExecutableOptions{})
		}},
		{"everybody may write to what a link leads to", func(t *testing.T) *source.Executable {
			path := filepath.Join(safeDir(t), "tool")
			if err := os.Symlink(script(t, "#!/bin/sh\n", 0o757), path); err != nil {
				t.Fatal(err)
			}
			return run(path, source.ExecutableOptions{})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, err := test.make(t).Token(t.Context())
			failure, ok := errors.AsType[*refresher.Error](err)
			if !ok || token != (refresher.Token{}) {
				t.Fatalf("Token = %v, error %v; want a *refresher.Error and nothing else", token, err)
			}
			fmt.Fprintf(&report, "== %s\n%s %s\n  hint: %s\n", test.name, failure.Class, temporary.ReplaceAllString(failure.Error(), "/opt"), temporary.ReplaceAllString(failure.Hint, "/opt"))
			for _, secret := range []string{"hunter2", "eyJ"} {
				if strings.Contains(failure.Error()+failure.Hint, secret) {
					t.Errorf("the error shows %q: %v", secret, err)
				}
			}
		})
	}
	path := filepath.Join("testdata", "executable_failures.golden")
	if *update {
		if err := os.WriteFile(path, report.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), report.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
