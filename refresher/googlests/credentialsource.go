package googlests

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A CredentialSource is where an external_account document says that the subject token comes from.
// Exactly one field is set.
type CredentialSource struct {
	File       *SubjectFile
	URL        *SubjectURL
	Executable *SubjectExecutable
	AWS        *SubjectAWS
}

// A SubjectFile is a file with the token.
type SubjectFile struct {
	Path string // as written; libraries take a relative one as relative to the process
	// Field is the top-level key whose string is the token, if the file is a JSON object; empty if
	// the file's text is the token.
	Field string
}

// A SubjectURL gives the token in answer to a GET.
type SubjectURL struct {
	URL     string // as written
	Headers map[string]refresher.Secret
	Field   string // of the answer, as in SubjectFile
}

// A SubjectExecutable prints the token, in the form that https://google.aip.dev/auth/4117 describes
// for executable-sourced credentials.
type SubjectExecutable struct {
	Command    string        // as written: the program's path and its arguments, separated by white space
	Timeout    time.Duration // 5 s to 120 s
	OutputFile string        // where the executable keeps its last answer; empty if nowhere
}

// A SubjectAWS is the AWS identity of this machine or process, which signs a GetCallerIdentity request.
// Empty URLs are not configured: the environment may have what would be read there.
type SubjectAWS struct {
	RegionURL       string // metadata: the availability zone
	CredentialsURL  string // metadata: the role's name, and below it its keys
	VerificationURL string // the request to sign, with {region}; empty: that of the region's STS
	SessionTokenURL string // metadata: a session token of IMDSv2, if that has to be used
}

// sourceDocument is the member credential_source.
type sourceDocument struct {
	File        string              `json:"file,omitempty"`
	URL         string              `json:"url,omitempty"`
	Headers     sentHeaders         `json:"headers,omitempty"`
	Executable  *executableDocument `json:"executable,omitempty"`
	Certificate *struct{}           `json:"certificate,omitempty"`

	EnvironmentID   string `json:"environment_id,omitempty"`
	RegionURL       string `json:"region_url,omitempty"`
	VerificationURL string `json:"regional_cred_verification_url,omitempty"`
	SessionTokenURL string `json:"imdsv2_session_token_url,omitempty"`

	Format formatDocument `json:"format,omitzero"`
}

type executableDocument struct {
	Command       string `json:"command"`
	TimeoutMillis *int64 `json:"timeout_millis,omitempty"`
	OutputFile    string `json:"output_file,omitempty"`
}

type formatDocument struct {
	Type  string `json:"type"`
	Field string `json:"subject_token_field_name,omitempty"`
}

// sentHeaders are headers that JSON shows: in a document they stand as they are.
type sentHeaders map[string]refresher.Secret

// MarshalJSON implements [json.Marshaler].
func (h sentHeaders) MarshalJSON() ([]byte, error) {
	revealed := make(map[string]string, len(h))
	for name, value := range h {
		revealed[name] = value.Reveal()
	}
	return json.Marshal(revealed)
}

// Limits and default of an executable's timeout_millis.
const (
	minExecutable     = 5 * time.Second
	maxExecutable     = 120 * time.Second
	defaultExecutable = 30 * time.Second
)

var awsEnvironment = regexp.MustCompile(`^aws[0-9]+$`)

// kinds names what the document sets of the fields that say where the token is.
func (s sourceDocument) kinds() []string {
	var kinds []string
	if s.File != "" {
		kinds = append(kinds, "file")
	}
	if s.URL != "" && s.EnvironmentID == "" { // AWS has a url of its own
		kinds = append(kinds, "url")
	}
	if s.Executable != nil {
		kinds = append(kinds, "executable")
	}
	if s.EnvironmentID != "" {
		kinds = append(kinds, "environment_id")
	}
	if s.Certificate != nil {
		kinds = append(kinds, "certificate")
	}
	return kinds
}

// read accepts exactly one kind of source, as all libraries but Go's do: that takes the first of several.
func (s sourceDocument) read() (CredentialSource, *refresher.FieldError) {
	const want = "one of file, url, executable and environment_id (AWS) says where the subject token is"
	kinds := s.kinds()
	switch len(kinds) {
	case 0:
		return CredentialSource{}, sourceProblem("", "is required: %s", want)
	case 1:
	default:
		return CredentialSource{}, sourceProblem("", "has %s: only %s", strings.Join(kinds, " and "), want)
	}
	var source CredentialSource
	var problem *refresher.FieldError
	switch kinds[0] {
	case "file":
		source.File = &SubjectFile{Path: s.File}
		source.File.Field, problem = s.field()
	case "url":
		source.URL = &SubjectURL{URL: s.URL, Headers: s.Headers}
		source.URL.Field, problem = s.field()
	case "executable":
		source.Executable, problem = s.executable()
	case "environment_id":
		source.AWS, problem = s.aws()
	case "certificate":
		problem = sourceProblem(".certificate", "is not supported: an X.509 certificate is shown in the TLS handshake with Google, which wisp does not do; use a source that yields a token")
	}
	return source, problem
}

func sourceProblem(field, format string, args ...any) *refresher.FieldError {
	return &refresher.FieldError{Field: "credential_source" + field, Problem: fmt.Sprintf(format, args...)}
}

// field is the key that the format names, "" for text.
func (s sourceDocument) field() (string, *refresher.FieldError) {
	switch s.Format.Type {
	case "", "text":
		return "", nil
	case "json":
		if s.Format.Field == "" {
			return "", sourceProblem(".format.subject_token_field_name", "is required for the format json")
		}
		return s.Format.Field, nil
	}
	return "", sourceProblem(".format.type", "%.40q is neither text nor json", s.Format.Type)
}

func (s sourceDocument) executable() (*SubjectExecutable, *refresher.FieldError) {
	e := &SubjectExecutable{
		Command:    s.Executable.Command,
		Timeout:    defaultExecutable,
		OutputFile: s.Executable.OutputFile,
	}
	if strings.TrimSpace(e.Command) == "" {
		return nil, sourceProblem(".executable.command", "is required")
	}
	if millis := s.Executable.TimeoutMillis; millis != nil {
		if *millis < minExecutable.Milliseconds() || *millis > maxExecutable.Milliseconds() {
			return nil, sourceProblem(".executable.timeout_millis", "%d is not from 5000 to 120000", *millis)
		}
		e.Timeout = time.Duration(*millis) * time.Millisecond
	}
	return e, nil
}

func (s sourceDocument) aws() (*SubjectAWS, *refresher.FieldError) {
	switch {
	case s.EnvironmentID == "aws1":
		return &SubjectAWS{
			RegionURL:       s.RegionURL,
			CredentialsURL:  s.URL,
			VerificationURL: s.VerificationURL,
			SessionTokenURL: s.SessionTokenURL,
		}, nil
	case awsEnvironment.MatchString(s.EnvironmentID):
		return nil, sourceProblem(".environment_id", "%.20q is not supported: aws1 is the only version known", s.EnvironmentID)
	}
	return nil, sourceProblem(".environment_id", "%.40q is not aws1", s.EnvironmentID)
}
