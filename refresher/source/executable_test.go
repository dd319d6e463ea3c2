package source_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

var _ refresher.Source = (*source.Executable)(nil)

const poolAudience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider"

// document is what an executable prints that has a token, a JWT unless tokenType says otherwise.
func document(t *testing.T, token, tokenType string, expires time.Time) string {
	t.Helper()
	text, err := execsource.Response{Token: refresher.Secret(token), TokenType: tokenType, Expires: expires}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// playing is a source that runs the test binary in a role, and has all the time in the world for it.
func playing(t *testing.T, o source.ExecutableOptions, role ...string) *source.Executable {
	t.Helper()
	if o.Command == nil {
		o.Command = append([]string{program(t), "play"}, role...)
	}
	o.Audience = poolAudience
	e, err := source.NewExecutable(o)
	if err != nil {
		t.Fatal(err)
	}
	e.SetPatience(watchdog, watchdog)
	return e
}

func TestExecutableOptions(t *testing.T) {
	good := source.ExecutableOptions{
		Command: []string{"/opt/tool", "", "a b"}, Timeout: 5 * time.Second, OutputFile: "/run/token.json",
		Env: []string{"TOOL_HOME", "_x"}, Audience: "a", TokenType: refresher.TypeSAML2, ImpersonatedEmail: "a@b",
	}
	if got := good.Check(); got != nil {
		t.Errorf("Check of good options = %v, want nothing", got)
	}
	bad := source.ExecutableOptions{
		Command:    []string{"tool --verbose", "a\x00b"},
		Timeout:    4 * time.Second,
		OutputFile: "token.json",
		Env:        []string{"A=b", "", "1", "PATH", "HOME", execsource.EnvAudience},
		TokenType:  "jwt", ImpersonatedEmail: "\x00",
	}
	want := []refresher.FieldError{
		{Field: "command.0", Problem: `"tool --verbose" is not an absolute path: no PATH is searched, and no shell takes a command line apart; each argument is an element of its own`},
		{Field: "command.1", Problem: "has a NUL in it"},
		{Field: "timeout", Problem: "4s is not from 5s to 120s"},
		{Field: "outputFile", Problem: `"token.json" is not the absolute path of a file`},
		{Field: "env.0", Problem: "must be the name alone: the value is that of wisp's own environment"},
		{Field: "env.1", Problem: `"" is not the name of an environment variable`},
		{Field: "env.2", Problem: `"1" is not the name of an environment variable`},
		{Field: "env.3", Problem: "PATH is not passed on: wisp sets it"},
		{Field: "env.5", Problem: execsource.EnvAudience + " is not passed on: wisp sets it"},
		{Field: "audience", Problem: "is missing: the program is told whom the token is for"},
		{Field: "tokenType", Problem: `"jwt" is not one of urn:ietf:params:oauth:token-type:jwt, urn:ietf:params:oauth:token-type:id_token, urn:ietf:params:oauth:token-type:saml2`},
		{Field: "impersonatedEmail", Problem: "has a NUL in it"},
	}
	if diff := cmp.Diff(want, bad.Check()); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
	if _, err := source.NewExecutable(bad); err == nil {
		t.Error("NewExecutable takes options that Check refuses")
	}
	missing := source.ExecutableOptions{Audience: "a\x00", Timeout: 121 * time.Second, OutputFile: "/run/"}
	want = []refresher.FieldError{
		{Field: "command", Problem: "is missing: the absolute path of a program, and its arguments"},
		{Field: "timeout", Problem: "2m1s is not from 5s to 120s"},
		{Field: "outputFile", Problem: `"/run/" is not the absolute path of a file`},
		{Field: "audience", Problem: "has a NUL in it"},
	}
	if diff := cmp.Diff(want, missing.Check()); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}

func TestTokenOfAnExecutable(t *testing.T) {
	hour := time.Now().Add(time.Hour).Truncate(time.Second)
	issued := hour.Add(-time.Hour)
	good := jwt(claims{"iat": issued.Unix(), "exp": hour.Unix()})
	saml := segment([]byte(`<Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"></Assertion>`))
	of := func(tokenType string, expires time.Time) refresher.Token {
		return refresher.Token{Raw: refresher.Secret(good), Type: tokenType, Issued: issued, Expires: expires}
	}
	for _, test := range []struct {
		name      string
		tokenType string
		prints    string
		want      refresher.Token
	}{
		{"a JWT", "", document(t, good, refresher.TypeJWT, time.Time{}), of(refresher.TypeJWT, hour)},
		{
			"a JWT that goes by the other name", refresher.TypeJWT,
			document(t, good, refresher.TypeIDToken, time.Time{}), of(refresher.TypeJWT, hour),
		},
		{
			"the document expires first", refresher.TypeIDToken,
			document(t, good, refresher.TypeIDToken, hour.Add(-time.Minute)), of(refresher.TypeIDToken, hour.Add(-time.Minute)),
		},
		{
			"the token expires first", refresher.TypeIDToken,
			document(t, good, refresher.TypeIDToken, hour.Add(time.Minute)), of(refresher.TypeIDToken, hour),
		},
		{"white space around document and token", "", "\n" + document(t, good+"\n", refresher.TypeJWT, hour) + "\r\n", of(refresher.TypeJWT, hour)},
		{
			"SAML that does not say when it expires", refresher.TypeSAML2, document(t, saml, refresher.TypeSAML2, hour),
			refresher.Token{Raw: refresher.Secret(saml), Type: refresher.TypeSAML2, Expires: hour},
		},
		{
			"SAML that expires nowhere", refresher.TypeSAML2, document(t, saml, refresher.TypeSAML2, time.Time{}),
			refresher.Token{Raw: refresher.Secret(saml), Type: refresher.TypeSAML2},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := playing(t, source.ExecutableOptions{TokenType: test.tokenType}, "print", test.prints)
			got, err := e.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("Token = %v, want %v", got, test.want)
				t.Errorf("raw is right: %v", got.Raw == test.want.Raw)
			}
		})
	}
}

// Whether a token has expired is the engine's to say: only it knows whether the local clock can be
// believed, and finds out by sending such a token now and then.
func TestExpiredTokenOfAnExecutableIsNotKeptBack(t *testing.T) {
	at := time.Unix(1620499962, 0)
	for name, printed := range map[string]string{
		"the token says so":    document(t, jwt(claims{"exp": at.Unix()}), refresher.TypeJWT, time.Time{}),
		"the document says so": document(t, jwt(claims{"exp": 4102444800}), refresher.TypeJWT, at),
	} {
		t.Run(name, func(t *testing.T) {
			token, err := playing(t, source.ExecutableOptions{}, "print", printed).Token(t.Context())
			if err != nil || !token.Expires.Equal(at) {
				t.Errorf("Token = %v, %v; want one that expires at %v", token, err, at)
			}
		})
	}
}

func TestWhatAnExecutableSees(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	output := filepath.Join(t.TempDir(), "output")
	text := document(t, hourToken(1), refresher.TypeIDToken, time.Now().Add(time.Hour))
	own := map[string]string{
		"PATH": "/evil", "HOME": "/home/wisp", "LANG": "C.UTF-8", "TOOL_CONFIG": "with = and blanks", "TOOL_EMPTY": "",
		"WISP_SECRET": "s", "AWS_SECRET_ACCESS_KEY": "s", "LD_PRELOAD": "/evil.so", execsource.EnvAllowExecutables: "1",
	}
	tool := program(t)
	literal := []string{"a b", "$(touch /tmp/x)", "`id`", "*", "", "; rm -rf x", `"quoted"`}
	e := playing(t, source.ExecutableOptions{
		Command:           append([]string{tool, "play", "record", log, text}, literal...),
		OutputFile:        output,
		Env:               []string{"TOOL_CONFIG", "TOOL_EMPTY", "TOOL_UNSET"},
		TokenType:         refresher.TypeIDToken,
		ImpersonatedEmail: "reports@acme-prod.iam.gserviceaccount.com",
		LookupEnv:         func(name string) (string, bool) { value, ok := own[name]; return value, ok },
	})
	if _, err := e.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := surrounding{
		Args: append([]string{tool, "play", "record", log, text}, literal...),
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"HOME=/home/wisp",
			"LANG=C.UTF-8",
			"TOOL_CONFIG=with = and blanks",
			"TOOL_EMPTY=",
			"GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=" + poolAudience,
			"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=urn:ietf:params:oauth:token-type:id_token",
			"GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0",
			"GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=reports@acme-prod.iam.gserviceaccount.com",
			"GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=" + output,
		},
		Directory: "/",
		Leader:    true,
	}
	if diff := cmp.Diff([]surrounding{want}, recorded(t, log)); diff != "" {
		t.Errorf("what the executable saw (-want +got):\n%s", diff)
	}
}

func TestVariablesThatAreNotConfiguredAreNotSet(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	e := playing(t, source.ExecutableOptions{LookupEnv: func(string) (string, bool) { return "", false }},
		"record", log, document(t, hourToken(1), refresher.TypeJWT, time.Time{}))
	if _, err := e.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=" + poolAudience,
		"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=urn:ietf:params:oauth:token-type:jwt",
		"GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0",
	}
	if diff := cmp.Diff(want, recorded(t, log)[0].Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func recorded(t *testing.T, log string) []surrounding {
	t.Helper()
	text, err := os.ReadFile(log)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []surrounding
	for line := range bytes.Lines(text) {
		var s surrounding
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestOutputFileIsLookedAtFirst(t *testing.T) {
	now := time.Now()
	cached, fresh := hourToken(1), hourToken(2)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	jwtUntil := func(d time.Duration) string { return jwt(claims{"exp": in(d).Unix()}) }
	failure, err := execsource.Response{Failure: &execsource.Failure{Code: "c", Message: "m"}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		file string
		used bool
	}{
		{"a good one", document(t, cached, refresher.TypeJWT, in(time.Hour)), true},
		{"one with some life left", document(t, cached, refresher.TypeJWT, in(5*time.Minute)), true},
		{"an empty one", "", false},
		{"a failure", string(failure), false},
		{"an expired one", document(t, cached, refresher.TypeJWT, in(-time.Second)), false},
		{"one about to expire", document(t, cached, refresher.TypeJWT, in(5*time.Second)), false},
		{"one with an expired token", document(t, jwtUntil(-time.Second), refresher.TypeJWT, in(time.Hour)), false},
		{"one that does not say when it expires", document(t, cached, refresher.TypeJWT, time.Time{}), false},
		{"one cut off", document(t, cached, refresher.TypeJWT, in(time.Hour))[:100], false},
		{"one of another version", strings.Replace(document(t, cached, refresher.TypeJWT, in(time.Hour)), `"version":1`, `"version":2`, 1), false},
		{"one without a JWT", document(t, "opaque", refresher.TypeJWT, in(time.Hour)), false},
		{"one with SAML", document(t, segment([]byte("<a/>")), refresher.TypeSAML2, in(time.Hour)), false},
		{"one of more than 64 KiB", document(t, cached, refresher.TypeJWT, in(time.Hour)) + strings.Repeat("\n", 64<<10), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			output, log := filepath.Join(t.TempDir(), "output"), filepath.Join(t.TempDir(), "log")
			write(t, output, test.file)
			e := playing(t, source.ExecutableOptions{OutputFile: output}, "record", log, document(t, fresh, refresher.TypeJWT, in(time.Hour)))
			got, err := e.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if used := got.Raw.Reveal() == cached; used != test.used {
				t.Errorf("the token is that of the file: %v, want %v", used, test.used)
			}
			if runs := len(recorded(t, log)); (runs == 0) != test.used || runs > 1 {
				t.Errorf("the executable was run %d times, file used: %v", runs, test.used)
			}
		})
	}
}

func TestOutputFileThatIsNoFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing", "output"), "/dev/zero"} {
		e := playing(t, source.ExecutableOptions{OutputFile: path}, "print", document(t, hourToken(1), refresher.TypeJWT, time.Now().Add(time.Hour)))
		if _, err := e.Token(t.Context()); err != nil {
			t.Errorf("output file %s: %v", path, err)
		}
	}
}

func TestOneRunAtATime(t *testing.T) {
	output, log := filepath.Join(t.TempDir(), "output"), filepath.Join(t.TempDir(), "log")
	e := playing(t, source.ExecutableOptions{OutputFile: output}, "keep", log, document(t, hourToken(1), refresher.TypeJWT, time.Now().Add(time.Hour)))
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if _, err := e.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if runs := len(recorded(t, log)); runs != 1 {
		t.Errorf("five calls at once ran the executable %d times, want once: its output file serves the others", runs)
	}
}

func TestWhoWaitsForARunCanGiveUp(t *testing.T) {
	leash := newLeash(t)
	e := playing(t, source.ExecutableOptions{}, "hang", leash.path)
	running, stop := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := e.Token(running); first <- err }()
	leash.ready(t)

	waiting, giveUp := context.WithCancel(t.Context())
	giveUp()
	_, err := e.Token(waiting)
	if e := refresher.AsError(err); e == nil || e.Class != refresher.Transient || !strings.Contains(err.Error(), "waiting for the run before") {
		t.Errorf("Token while another runs: error %v", err)
	}
	stop()
	if err := <-first; !errors.Is(err, context.Canceled) || refresher.AsError(err).Class != refresher.Transient {
		t.Errorf("Token whose context ended: error %v, want a transient one because of that", err)
	}
	leash.last(t)
}

func TestProgramIsAskedToEndFirst(t *testing.T) {
	leash := newLeash(t)
	e := playing(t, source.ExecutableOptions{}, "obedient", leash.path)
	e.SetPatience(0, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := e.Token(ctx); done <- err }()
	leash.ready(t)
	cancel()
	if err := <-done; err == nil {
		t.Error("Token gave a token")
	}
	if got := leash.last(t); got != "asked to end\n" {
		t.Errorf("the executable's last words are %q: it got no SIGTERM", got)
	}
}

func TestProgramThatIgnoresSIGTERMIsKilled(t *testing.T) {
	leash := newLeash(t)
	e := playing(t, source.ExecutableOptions{}, "stubborn", leash.path)
	e.SetPatience(0, 50*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := e.Token(ctx); done <- err }()
	leash.ready(t)
	cancel()
	if err := <-done; err == nil {
		t.Error("Token gave a token")
	}
	leash.last(t)
}

func TestWhatAProgramLeavesBehindIsKilled(t *testing.T) {
	good := hourToken(1)
	for _, test := range []struct {
		holds   string
		succeed bool
	}{
		{"stdout", false},
		{"nothing", true},
	} {
		t.Run("it holds "+test.holds, func(t *testing.T) {
			leash := newLeash(t)
			e := playing(t, source.ExecutableOptions{}, "leave", leash.path, document(t, good, refresher.TypeJWT, time.Time{}), test.holds)
			if !test.succeed {
				e.SetPatience(0, 50*time.Millisecond)
			}
			_, err := e.Token(t.Context())
			if succeeded := err == nil; succeeded != test.succeed {
				t.Errorf("Token: error %v, want success: %v", err, test.succeed)
			}
			leash.ready(t)
			leash.last(t)
		})
	}
}
