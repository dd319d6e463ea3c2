package googlests

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// An ExternalAccount is what an external_account document says: how to exchange, and what to show.
type ExternalAccount struct {
	Options Options // without a Transport
	Source  CredentialSource
}

// externalAccount is the document, as far as it is understood, in the order in which gcloud writes it.
type externalAccount struct {
	UniverseDomain   string         `json:"universe_domain,omitempty"`
	Type             string         `json:"type"`
	Audience         string         `json:"audience"`
	SubjectTokenType string         `json:"subject_token_type"`
	TokenURL         string         `json:"token_url"`
	Source           sourceDocument `json:"credential_source"`
	WorkforceProject string         `json:"workforce_pool_user_project,omitempty"`
	ImpersonationURL string         `json:"service_account_impersonation_url,omitempty"`
	Impersonation    struct {
		LifetimeSeconds int64 `json:"token_lifetime_seconds"`
	} `json:"service_account_impersonation,omitzero"`
	TokenInfoURL string `json:"token_info_url,omitempty"` // for gcloud; it has no meaning here
	QuotaProject string `json:"quota_project_id,omitempty"`
	// A client is only read: a Secret is never written.
	ClientID     string           `json:"client_id,omitempty"`
	ClientSecret refresher.Secret `json:"client_secret,omitempty"`
}

// impersonationURL is the one form that the libraries know, see [Options.ImpersonationURL].
var impersonationURL = regexp.MustCompile(`^(https?://[^/?#]+)/v1/projects/-/serviceAccounts/([^/?#:]+):generateAccessToken$`)

// FromExternalAccount reads an external_account document, the configuration file that
// "gcloud iam workload-identity-pools create-cred-config" writes for client libraries
// (https://google.aip.dev/auth/4117). Problems are named by the document's own fields, and never
// quote a secret.
//
// Only what the document cannot be read without is reported here. The caller sets a Transport and
// then has [Options.Check], and the source that it makes of Source, judge the values: above all URLs
// and commands, since these documents come from elsewhere. A universe_domain in the document widens
// what the URLs may be; whoever does not expect one compares it first.
func FromExternalAccount(document []byte) (ExternalAccount, []refresher.FieldError) {
	var doc externalAccount
	if err := json.Unmarshal(document, &doc); err != nil {
		return ExternalAccount{}, []refresher.FieldError{jsonProblem(err)}
	}
	if doc.Type != "external_account" {
		return ExternalAccount{}, []refresher.FieldError{{
			Field:   "type",
			Problem: fmt.Sprintf("%.40q is not external_account, the kind of document that names a provider and holds no key", doc.Type),
		}}
	}
	options, problems := doc.options()
	source, problem := doc.Source.read()
	if problem == nil && doc.SubjectTokenType != "" && (doc.SubjectTokenType == refresher.TypeAWSRequest) != (source.AWS != nil) {
		problem = &refresher.FieldError{
			Field:   "subject_token_type",
			Problem: refresher.TypeAWSRequest + " and credential_source.environment_id (AWS) go together: one needs the other",
		}
	}
	if problem != nil {
		problems = append(problems, *problem)
	}
	if len(problems) > 0 {
		return ExternalAccount{}, problems
	}
	return ExternalAccount{Options: options, Source: source}, nil
}

// options are the part of the document that is about the exchange.
func (doc externalAccount) options() (Options, []refresher.FieldError) {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	o := Options{
		Audience:         doc.Audience,
		SubjectTokenType: doc.SubjectTokenType,
		TokenURL:         doc.TokenURL,
		ClientID:         doc.ClientID,
		ClientSecret:     doc.ClientSecret,
		UserProject:      doc.WorkforceProject,
		QuotaProject:     doc.QuotaProject,
		UniverseDomain:   doc.UniverseDomain,
	}
	if doc.SubjectTokenType == "" {
		report("subject_token_type", "is required")
	}
	if (doc.ClientID == "") != (doc.ClientSecret == "") {
		report("client_id", "goes together with client_secret: one without the other authenticates nobody")
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
	return o, problems
}

// jsonProblem says where a document is not what it should be, without quoting it: it can hold
// secrets.
func jsonProblem(err error) refresher.FieldError {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok || wrong.Field == "" {
		return refresher.FieldError{Field: "document", Problem: "is not a JSON object"}
	}
	want := "a string"
	switch kind := wrong.Type.Kind(); {
	case wrong.Field == "credential_source.headers":
		want = "an object of strings"
	case kind == reflect.Struct:
		want = "an object"
	case kind == reflect.Int64:
		want = "a whole number"
	}
	return refresher.FieldError{Field: wrong.Field, Problem: "is not " + want}
}
