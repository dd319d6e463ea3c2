package conformance_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// executableRows are about programs that print a token, or what came of one: https://google.aip.dev/auth/4117.
var executableRows = []row{
	{name: "executable: jwt", set: answering(nil), want: gets(federated)},
	{name: "executable: id_token", set: both(with("subject_token_type", refresher.TypeIDToken), func(s *stage) {
		s.runs(s.prints(answer{"token_type": refresher.TypeIDToken}))
	}), want: gets(federated)},
	{
		name: "executable: an ID token that is called jwt", set: answering(answer{"token_type": refresher.TypeIDToken}),
		want: gets(federated),
	},
	{name: "executable: saml2", set: both(samlDocument, func(s *stage) {
		s.runs(s.prints(s.samlAnswer()))
	}), want: gets(members + "reports")},
	{
		name: "executable: for a service account", set: both(account(reports), answering(nil)),
		want: gets(impersonated),
	},
	{
		name: "executable: without expiration_time", set: answering(answer{"expiration_time": nil}),
		want: gets(federated),
	},
	{
		name: "executable: two blanks between arguments",
		set:  func(s *stage) { s.command(strings.ReplaceAll(s.printing(), " ", "  ")) },
		want: gets(federated),
	},
	{name: "executable: what it is told", set: func(s *stage) { s.runsTold("-", s.dir+"/output") }, want: gets(federated)},
	{
		name: "executable: what it is told, with a service account", environ: true,
		set:  both(both((*stage).asWritten, account(reports)), func(s *stage) { s.runsTold(reports, "-") }),
		want: gets(impersonated),
	},

	{
		name: "executable: a good output_file", set: func(s *stage) { s.command("/bin/false", "output_file", s.prints(nil)) },
		want: gets(federated),
	},
	{name: "executable: no output_file yet", set: func(s *stage) { s.runsWith(s.dir + "/output") }, want: gets(federated)},
	{name: "executable: an empty output_file", set: func(s *stage) { s.runsWith(s.file("output", "")) }, want: gets(federated)},
	{
		name: "executable: an output_file that has expired",
		set:  func(s *stage) { s.runsWith(s.output(answer{"expiration_time": ago(time.Minute).Unix()})) },
		want: gets(federated),
	},
	{
		name: "executable: an output_file of a failure", set: func(s *stage) { s.runsWith(s.output(failed401)) },
		want: gets(federated),
	},
	{
		name: "executable: an output_file cut off", set: func(s *stage) { s.runsWith(s.file("output", `{"version":1,"suc`)) },
		want: lacks(0, ""), wisp: gets(federated), differs: becauseTorn,
	},
	{
		name: "executable: an output_file without expiration_time",
		set:  func(s *stage) { s.runsWith(s.output(answer{"expiration_time": nil})) },
		want: lacks(0, ""), wisp: gets(federated), differs: becauseTorn,
	},
	{
		name: "executable: an output_file of version 2", set: func(s *stage) { s.runsWith(s.output(answer{"version": 2})) },
		want: lacks(0, ""), wisp: gets(federated), differs: becauseTorn,
	},
	{
		name: "executable: no expiration_time, with an output_file", set: func(s *stage) {
			s.command("/bin/sh "+script("answer.sh")+" "+s.prints(answer{"expiration_time": nil}), "output_file", s.dir+"/output")
		},
		want: notAToken,
	},

	{name: "executable: exit code 3", set: func(s *stage) { s.runs(s.file("answer", ""), "3") }, want: noToken},
	{name: "executable: exit code 3 with a token", set: func(s *stage) { s.runs(s.prints(nil), "3") }, want: noToken},
	{name: "executable: success false", set: answering(failed401), want: noToken},
	{
		name: "executable: success false, and exit code 1", set: func(s *stage) { s.runs(s.prints(failed401), "1") },
		want: noToken,
	},
	{
		name: "executable: success false, without a message", set: answering(answer{"success": false}),
		want: notAToken,
	},
	{name: "executable: success missing", set: answering(answer{"success": nil}), want: notAToken},
	{
		name: "executable: expired", set: func(s *stage) {
			old := s.mint(cloudtest.TokenOptions{Issued: ago(2 * time.Hour)})
			s.runs(s.prints(answer{"expiration_time": ago(time.Hour).Unix(), "id_token": old}))
		},
		want: lacks(0, ""), wisp: refusesToken("stale"), differs: becauseDoubt,
	},
	{
		name: "executable: expired, so it says of a good token",
		set:  answering(answer{"expiration_time": ago(time.Minute).Unix()}),
		want: lacks(0, ""), wisp: gets(federated), differs: becauseDoubt,
	},
	{name: "executable: version 2", set: answering(answer{"version": 2}), want: notAToken},
	{name: "executable: version missing", set: answering(answer{"version": nil}), want: notAToken},
	{name: "executable: version a string", set: answering(answer{"version": "1"}), want: notAToken},
	{
		name: "executable: token_type missing", set: answering(answer{"token_type": nil}),
		want: notAToken,
	},
	{
		name: "executable: token_type that nobody knows", set: answering(answer{"token_type": refresher.TypeAccessToken}),
		want: notAToken,
	},
	{name: "executable: id_token missing", set: answering(answer{"id_token": nil}), want: notAToken},
	{name: "executable: not JSON", set: func(s *stage) { s.runs(s.file("answer", s.good())) }, want: notAToken},
	{name: "executable: prints nothing", set: func(s *stage) { s.runs(s.file("answer", "")) }, want: notAToken},
	{name: "executable: not there", set: func(s *stage) { s.command(s.dir + "/none") }, want: noToken},
	{
		name: "executable: prints on standard error only",
		set:  func(s *stage) { s.command("/bin/sh " + script("complain.sh") + " " + s.prints(nil)) },
		want: gets(federated), wisp: notAToken,
		differs: "wisp takes tokens from standard output alone, as the protocol says",
	},
	{
		name: "executable: a SAML assertion where a JWT is expected", set: func(s *stage) {
			s.runs(s.prints(s.samlAnswer()))
		},
		want: refusesToken("Unable to parse"), wisp: notAToken,
		differs: "wisp compares token_type with subject_token_type; no library does",
	},

	{name: "executable: not allowed", environ: true, set: func(s *stage) {
		s.Setenv(allowExecutables, "0")
		s.runs(s.prints(nil))
	}, want: rejects("names a program to run, which has to be permitted")},
	{
		name: "executable: not allowed, but a good output_file", environ: true, set: func(s *stage) {
			s.Setenv(allowExecutables, "0")
			s.command("/bin/false", "output_file", s.prints(nil))
		},
		want: gets(federated), wisp: rejects("names a program to run, which has to be permitted"),
		differs: becausePermission,
	},
	{
		name: "executable: no command", set: func(s *stage) { s.gives("executable", map[string]any{"timeout_millis": 5000}) },
		want: rejects("executable.command"),
	},
	{
		name: "executable: a timeout of a second", set: func(s *stage) { s.command("/bin/true", "timeout_millis", 1000) },
		want: rejects("timeout_millis: 1000 is not from 5000"),
	},
	{
		name: "executable: a timeout of 0", set: func(s *stage) { s.command(s.printing(), "timeout_millis", 0) },
		want: rejects("timeout_millis: 0 is not from 5000"), auth: gets(federated),
		differs: "go/auth takes 0 for a timeout that is not there",
	},
	{
		name: "executable: a program that is looked for",
		set:  func(s *stage) { s.command(strings.TrimPrefix(s.printing(), "/bin/")) },
		want: gets(federated), wisp: rejects("is not an absolute path"),
		differs: "wisp looks through no PATH; the specification of the document wants an absolute path, too",
	},
	{
		name: "executable: a program that others can replace",
		set:  func(s *stage) { s.command(strings.Replace(s.printing(), "/bin/sh", s.shared("/bin/sh"), 1)) },
		want: gets(federated), wisp: lacks(refresher.Denied, refresher.CodeSubjectMissing),
		differs: "wisp runs no program that somebody else could put another in the place of",
	},
}

// An answer is what a program's answer has besides the usual, or instead; nil stands for nothing.
type answer map[string]any

var failed401 = answer{"success": false, "code": "401", "message": "sign in first"}

// answering has a program print an answer.
func answering(change answer) func(*stage) {
	return func(s *stage) { s.runs(s.prints(change)) }
}

// output writes an answer into a file of its own.
func (s *stage) output(change answer) string { return s.written("output", change) }

// prints writes the answer that the program is to print.
func (s *stage) prints(change answer) string { return s.written("answer", change) }

func (s *stage) written(name string, change answer) string {
	whole := answer{
		"version": 1, "success": true, "token_type": refresher.TypeJWT, "id_token": s.good(),
		"expiration_time": ago(-time.Hour).Unix(),
	}
	maps.Copy(whole, change)
	maps.DeleteFunc(whole, func(_ string, value any) bool { return value == nil })
	return s.file(name, s.json(whole))
}

func (s *stage) samlAnswer() answer {
	return answer{"token_type": refresher.TypeSAML2, "id_token": nil, "saml_response": s.assertion(cloudtest.SAMLTokenOptions{})}
}

// script is the path of a program of ours for a shell.
func script(name string) string {
	path, err := filepath.Abs(filepath.Join("testdata", "interop", name))
	if err != nil {
		panic(err)
	}
	return path
}

// command makes a program the source of the token, with further members.
func (s *stage) command(command string, pairs ...any) {
	executable := map[string]any{"command": command}
	for pair := range slices.Chunk(pairs, 2) {
		executable[pair[0].(string)] = pair[1]
	}
	s.gives("executable", executable)
}

// printing is the command that prints a good answer.
func (s *stage) printing() string { return "/bin/sh " + script("answer.sh") + " " + s.prints(nil) }

// runs has the program print a file, and exit with a code if there is one.
func (s *stage) runs(file string, code ...string) {
	s.command(strings.Join(append([]string{"/bin/sh", script("answer.sh"), file}, code...), " "))
}

// runsWith has the program print a good answer, and configures an output_file.
func (s *stage) runsWith(output string) {
	s.command(s.printing(), "output_file", output)
}

// runsTold has the program compare what it is told.
func (s *stage) runsTold(email, output string) {
	command := strings.Join([]string{
		"/bin/sh", script("told.sh"), s.prints(nil), s.document["audience"].(string), refresher.TypeJWT, email, output,
	}, " ")
	if output == "-" {
		s.command(command)
		return
	}
	s.command(command, "output_file", output)
}

// shared is a way to a program through a directory that everybody can write to.
func (s *stage) shared(program string) string {
	dir := filepath.Join(s.dir, "shared")
	link := filepath.Join(dir, "program")
	for _, err := range []error{os.Mkdir(dir, 0o700), os.Symlink(program, link), os.Chmod(dir, 0o777)} {
		if err != nil {
			s.Fatal(err)
		}
	}
	return link
}
