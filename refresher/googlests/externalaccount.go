package googlests

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A SubjectFile is where an external_account document says that the subject token is.
type SubjectFile struct {
	Path string // as written; libraries take a relative one as relative to the process
	// Field is the top-level key whose string is the token, if the file is a JSON object; empty if
	// the file's text is the token.
	Field string
}

// externalAccount is the document, as far as it is understood. Fields for applications, such as
// token_info_url, are left out.
type externalAccount struct {
	Type             string `json:"type"`
	Audience         string `json:"audience"`
	SubjectTokenType string `json:"subject_token_type"`
	TokenURL         string `json:"token_url"`
	ImpersonationURL string `json:"service_account_impersonation_url"`
	Impersonation    struct {
		LifetimeSeconds int64 `json:"token_lifetime_seconds"`
	} `json:"service_account_impersonation"`
	QuotaProject     string           `json:"quota_project_id"`
	WorkforceProject string           `json:"workforce_pool_user_project"`
	UniverseDomain   string           `json:"universe_domain"`
	ClientID         string           `json:"client_id"`
	Source           credentialSource `json:"credential_source"`
}

type credentialSource struct {
	File          string    `json:"file"`
	URL           string    `json:"url"`
	EnvironmentID string    `json:"environment_id"`
	Executable    *struct{} `json:"executable"`
	Certificate   *struct{} `json:"certificate"`
	Format        struct {
		Type  string `json:"type"`
		Field string `json:"subject_token_field_name"`
	} `json:"format"`
}

// impersonationURL is the one form that the libraries know, see [Options.ImpersonationURL].
var impersonationURL = regexp.MustCompile(`^(https?://[^/?#]+)/v1/projects/-/serviceAccounts/([^/?#:]+):generateAccessToken$`)

// FromExternalAccount reads an external_account document, the configuration file that
// "gcloud iam workload-identity-pools create-cred-config" writes for client libraries
// (https://google.aip.dev/auth/4117). Problems are named by the document's own fields.
//
// Only what the document cannot be read without is reported here. The caller sets a Transport and
// then has [Options.Check] judge the values: above all the URLs, since these documents come from
// elsewhere. A universe_domain in the document widens what those URLs may be; whoever does not
// expect one compares it first.
func FromExternalAccount(document []byte) (Options, SubjectFile, []refresher.FieldError) {
	var doc externalAccount
	if err := json.Unmarshal(document, &doc); err != nil {
		return Options{}, SubjectFile{}, []refresher.FieldError{jsonProblem(err)}
	}
	if doc.Type != "external_account" {
		return Options{}, SubjectFile{}, []refresher.FieldError{{
			Field:   "type",
			Problem: fmt.Sprintf("%.40q is not external_account, the kind of document that names a provider and holds no key", doc.Type),
		}}
	}
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	o := Options{
		Audience:         doc.Audience,
		SubjectTokenType: doc.SubjectTokenType,
		TokenURL:         doc.TokenURL,
		QuotaProject:     cmp.Or(doc.WorkforceProject, doc.QuotaProject),
		UniverseDomain:   doc.UniverseDomain,
	}
	if doc.SubjectTokenType == "" {
		report("subject_token_type", "is required")
	}
	if doc.ClientID != "" {
		report("client_id", "is not supported: the token is exchanged without client authentication")
	}
	if doc.WorkforceProject != "" && !o.workforce() {
		report("workforce_pool_user_project", "is for the audience of a workforce pool only")
	}
	if doc.ImpersonationURL != "" {
		parts := impersonationURL.FindStringSubmatch(doc.ImpersonationURL)
		if parts == nil {
			report("service_account_impersonation_url", "is not https://…/v1/projects/-/serviceAccounts/EMAIL:generateAccessToken")
		} else {
			o.ImpersonationURL, o.ServiceAccount = parts[1], parts[2]
		}
	}
	switch seconds := doc.Impersonation.LifetimeSeconds; {
	case seconds == 0:
	case doc.ImpersonationURL == "":
		report("service_account_impersonation", "has no effect without service_account_impersonation_url")
	case seconds < int64(minLifetime/time.Second) || seconds > int64(maxLifetime/time.Second):
		report("service_account_impersonation.token_lifetime_seconds", "%d is not from 600 to 43200", seconds)
	default:
		o.Lifetime = time.Duration(seconds) * time.Second
	}
	file, sourceProblems := doc.Source.file()
	return o, file, append(problems, sourceProblems...)
}

// file accepts the one kind of source that is supported, and names the others.
func (s credentialSource) file() (SubjectFile, []refresher.FieldError) {
	const field = "credential_source"
	var unsupported string
	switch {
	case s.EnvironmentID != "": // comes with a url of its own
		unsupported = "environment_id"
	case s.Executable != nil:
		unsupported = "executable"
	case s.Certificate != nil:
		unsupported = "certificate"
	case s.URL != "":
		unsupported = "url"
	case s.File == "":
		return SubjectFile{}, []refresher.FieldError{{Field: field + ".file", Problem: "is required"}}
	}
	if unsupported != "" {
		return SubjectFile{}, []refresher.FieldError{{
			Field:   field + "." + unsupported,
			Problem: "is not supported: use file, or configure source and exchange instead of this document",
		}}
	}
	switch format := s.Format; format.Type {
	case "", "text":
		return SubjectFile{Path: s.File}, nil
	case "json":
		if format.Field == "" {
			return SubjectFile{}, []refresher.FieldError{{
				Field:   field + ".format.subject_token_field_name",
				Problem: "is required for the format json",
			}}
		}
		return SubjectFile{Path: s.File, Field: format.Field}, nil
	default:
		return SubjectFile{}, []refresher.FieldError{{
			Field:   field + ".format.type",
			Problem: fmt.Sprintf("%.40q is neither text nor json", format.Type),
		}}
	}
}

// jsonProblem says where a document is not what it should be, without quoting it: it can hold
// secrets.
func jsonProblem(err error) refresher.FieldError {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return refresher.FieldError{Field: wrong.Field, Problem: fmt.Sprintf("is a JSON %s where %s is expected", wrong.Value, wrong.Type.Kind())}
	}
	return refresher.FieldError{Field: "document", Problem: "is not a JSON object"}
}
