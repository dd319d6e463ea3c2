package googlests

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/wisp-sidecar/wisp/refresher"
)

// Marshal writes the document that [FromExternalAccount] reads, for applications that exchange the
// token themselves, in the form of "gcloud iam workload-identity-pools create-cred-config". The source is
// a file with the token as its text, a URL or an executable, and Options.SubjectTokenType says what it yields.
//
// The error joins all that keeps the libraries from doing what a would do: they know no delegates. Scopes
// are not written, because applications name their own. A client's secret is not, either.
//
// Headers of a URL are secrets: then whoever writes the document to a file gives it the mode 0600.
func (a ExternalAccount) Marshal() ([]byte, error) {
	source := a.Source.document()
	if err := refresher.JoinFieldErrors(append(a.writeProblems(), source.writeProblems()...)); err != nil {
		return nil, fmt.Errorf("external_account: %w", err)
	}
	o := a.Options.withURLs()
	doc := externalAccount{
		UniverseDomain: o.UniverseDomain, Type: "external_account", Audience: o.Audience, SubjectTokenType: o.SubjectTokenType,
		TokenURL: o.TokenURL, Source: source, WorkforceProject: o.UserProject, QuotaProject: o.QuotaProject,
	}
	if o.ServiceAccount != "" {
		doc.ImpersonationURL = o.ImpersonationURL + "/v1/projects/-/serviceAccounts/" + o.ServiceAccount + ":generateAccessToken"
		doc.Impersonation.LifetimeSeconds = int64(o.Lifetime / time.Second)
	} else {
		base, usual := strings.CutSuffix(o.TokenURL, "/v1/token")
		if !usual {
			base = "https://sts." + o.UniverseDomain
		}
		doc.TokenInfoURL = base + "/v1/introspect"
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// CommandLine joins a program and its arguments to the command of a [SubjectExecutable]. The libraries split it
// again, some at each blank and some by quotes, so neither can be in an argument.
func CommandLine(arguments ...string) (string, error) {
	for _, argument := range arguments {
		if argument == "" || strings.ContainsFunc(argument, splits) {
			return "", fmt.Errorf("%q cannot be part of a command in an external_account file: libraries split it at white space, and some read quotes", argument)
		}
	}
	return strings.Join(arguments, " "), nil
}

func splits(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '"' || r == '\'' }

// document is the member credential_source.
func (s CredentialSource) document() sourceDocument {
	var doc sourceDocument
	field := ""
	if s.File != nil {
		doc.File, field = s.File.Path, s.File.Field
	}
	if s.URL != nil {
		doc.URL, doc.Headers, field = s.URL.URL, s.URL.Headers, s.URL.Field
	}
	if e := s.Executable; e != nil {
		millis := cmp.Or(e.Timeout, defaultExecutable).Milliseconds()
		doc.Executable = &executableDocument{Command: e.Command, TimeoutMillis: &millis, OutputFile: e.OutputFile}
	}
	if s.AWS != nil {
		doc.EnvironmentID = "aws1"
	}
	if field != "" {
		doc.Format = formatDocument{Type: "json", Field: field}
	}
	return doc
}

// writeProblems are those of the exchange.
func (a ExternalAccount) writeProblems() []refresher.FieldError {
	o := a.Options
	var problems []refresher.FieldError
	report := func(field, problem string) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: problem})
	}
	if o.ClientID != "" || o.ClientSecret != "" {
		report("clientId", "would have to be written with its secret: have wisp do this exchange")
		o.ClientID, o.ClientSecret = "", ""
	}
	if len(o.Delegates) > 0 {
		report("delegates", "cannot be written: client libraries know none")
	}
	switch o.SubjectTokenType {
	case "":
		report("subjectTokenType", "is not known")
	case refresher.TypeAWSRequest:
		report("subjectTokenType", "is "+refresher.TypeAWSRequest+", which libraries make themselves")
	}
	return append(problems, o.Check()...)
}

// writeProblems are those of the source. What is read back must be what was meant, by any library.
func (s sourceDocument) writeProblems() []refresher.FieldError {
	if _, problem := s.read(); problem != nil {
		return []refresher.FieldError{*problem}
	}
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, *sourceProblem(field, format, args...))
	}
	switch {
	case s.EnvironmentID != "":
		report(".environment_id", "is for gcloud to write: there is nothing of wisp in it")
	case s.File != "" && !filepath.IsAbs(s.File):
		report(".file", "must be an absolute path")
	case s.URL != "":
		u, err := url.Parse(s.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			report(".url", "is not an http or https URL")
		}
		for name, value := range s.Headers {
			if name == "" || strings.ContainsFunc(name+value.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }) {
				report(".headers", "must consist of printable ASCII")
				break
			}
		}
	case s.Executable != nil:
		command, output := s.Executable.Command, s.Executable.OutputFile
		if again, err := CommandLine(strings.Fields(command)...); err != nil || again != command {
			report(".executable.command", "must have one blank between its parts, and no quotes")
		} else if !filepath.IsAbs(command) {
			report(".executable.command", "must begin with an absolute path")
		}
		if output != "" && !filepath.IsAbs(output) {
			report(".executable.output_file", "must be an absolute path")
		}
	}
	return problems
}
