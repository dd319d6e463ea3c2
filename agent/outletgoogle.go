package agent

import (
	"cmp"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/gcemetadata"
	"github.com/wisp-sidecar/wisp/endpoints/subjecttoken"
	"github.com/wisp-sidecar/wisp/refresher"
)

// gceMetadataOutlet is the metadata server of Google Compute Engine and GKE.
type gceMetadataOutlet struct {
	Listen           string            `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
	ProjectID        string            `yaml:"projectId" doc:"project/project-id (default: the project of the service account)"`
	NumericProjectID string            `yaml:"numericProjectId" doc:"project/numeric-project-id, without which gcloud does not believe in the server (default: from the identity's audience)"`
	Zone             string            `yaml:"zone" doc:"instance/zone: europe-west1-b"`
	InstanceID       string            `yaml:"instanceId" doc:"instance/id: digits"`
	InstanceName     string            `yaml:"instanceName" doc:"instance/name"`
	Hostname         string            `yaml:"hostname" doc:"instance/hostname"`
	Attributes       map[string]string `yaml:"attributes" doc:"instance/attributes/: cluster-name, cluster-location, cluster-uid"`
}

var digits = regexp.MustCompile(`^[0-9]+$`)

func (o *gceMetadataOutlet) check() []refresher.FieldError {
	var list []refresher.FieldError
	for _, number := range []struct{ field, value string }{{"numericProjectId", o.NumericProjectID}, {"instanceId", o.InstanceID}} {
		if number.value != "" && !digits.MatchString(number.value) {
			list = append(list, refresher.FieldError{Field: number.field, Problem: "must consist of digits; write it in quotes"})
		}
	}
	for name := range o.Attributes {
		if name == "" || strings.Contains(name, "/") {
			list = append(list, refresher.FieldError{Field: "attributes", Problem: "names must not be empty or have a slash"})
		}
	}
	return list
}

func (o *gceMetadataOutlet) accepts(s shape) string { return only(googleBearer, s) }
func (o *gceMetadataOutlet) listen() string         { return o.Listen }
func (o *gceMetadataOutlet) secret() secretPlace    { return secretPlace{} }
func (o *gceMetadataOutlet) guarded() bool          { return false }
func (o *gceMetadataOutlet) String() string         { return at(o.Listen, "/computeMetadata/v1/") }

func (o *gceMetadataOutlet) detect(e *outletEnvironment) {
	o.Listen, o.ProjectID = e.listen, e.first("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
}

var (
	projectNumber = regexp.MustCompile(`/projects/([0-9]+)/`)
	projectOf     = regexp.MustCompile(`@([a-z0-9-]+)\.iam\.gserviceaccount\.com$`)
)

func (o *gceMetadataOutlet) protocol(identities []outletIdentity, _ refresher.Secret, _ *slog.Logger) (*endpoints.Protocol, error) {
	options := gcemetadata.Options{
		ProjectID: o.ProjectID, NumericProjectID: o.NumericProjectID, Zone: o.Zone, InstanceID: o.InstanceID,
		InstanceName: o.InstanceName, Hostname: o.Hostname, Attributes: o.Attributes,
	}
	names := map[string]bool{}
	for _, i := range identities {
		google := i.exchange.(*googleExchange) // accepts has let nothing else through
		account := gcemetadata.Account{
			Email: google.account(i.name), Scopes: google.scopes(),
			Provider: i.identity, IDTokens: google.ServiceAccount != "",
		}
		if names[account.Email] {
			return nil, fmt.Errorf("two identities have the account %s", account.Email)
		}
		names[account.Email] = true
		options.Accounts = append(options.Accounts, account)
		options.UniverseDomain = cmp.Or(options.UniverseDomain, google.UniverseDomain)
		options.ProjectID = cmp.Or(options.ProjectID, part(projectOf, google.ServiceAccount))
		options.NumericProjectID = cmp.Or(options.NumericProjectID, part(projectNumber, google.Audience))
	}
	return gcemetadata.New(options), nil
}

// part is what pattern's group finds in text.
func part(pattern *regexp.Regexp, text string) string {
	if m := pattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func (o *gceMetadataOutlet) variables(i outletIdentity, _ refresher.Secret) []Variable {
	address := strings.TrimPrefix(at(o.Listen, ""), "http://")
	list := []Variable{
		{Name: "GCE_METADATA_HOST", Value: address}, // the libraries
		{Name: "GCE_METADATA_IP", Value: address},   // what Python's pings
		{Name: "GCE_METADATA_ROOT", Value: address}, // gcloud
		{Name: "GCE_METADATA_MTLS_MODE", Value: "none"},
	}
	google := i.exchange.(*googleExchange) // accepts has let nothing else through
	if project := cmp.Or(o.ProjectID, part(projectOf, google.ServiceAccount)); project != "" {
		list = append(list, Variable{Name: "GOOGLE_CLOUD_PROJECT", Value: project})
	}
	return list
}

// subjectTokenOutlet is the service of URL-sourced credentials.
type subjectTokenOutlet struct {
	Listen     string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
	Path       string `yaml:"path" doc:"path of the one identity (default /subject/IDENTITY, which several identities always have)"`
	SecretFile string `yaml:"secretFile" doc:"file with the secret that callers have to send as Authorization: Bearer SECRET; made if missing (this or secretEnv is required)"`
	SecretEnv  string `yaml:"secretEnv" doc:"environment variable with that secret"`
	Format     string `yaml:"format" doc:"text: the answer is the token; json: the token is a field of a JSON object (default text)"`
	Field      string `yaml:"field" doc:"name of that field (default access_token, which is its name in files for Azure)"`
}

func (o *subjectTokenOutlet) check() []refresher.FieldError {
	list := append(checkPath(o.Path), requireSecret(o.secret())...)
	switch {
	case o.Format != "" && o.Format != "text" && o.Format != "json":
		list = append(list, refresher.FieldError{Field: "format", Problem: "must be text or json"})
	case o.Field != "" && o.Format != "json":
		list = append(list, refresher.FieldError{Field: "field", Problem: "has no meaning without format: json"})
	}
	return list
}

func (o *subjectTokenOutlet) accepts(s shape) string { return only(subjectToken, s) }
func (o *subjectTokenOutlet) listen() string         { return o.Listen }
func (o *subjectTokenOutlet) secret() secretPlace    { return secretPlace{o.SecretFile, o.SecretEnv} }
func (o *subjectTokenOutlet) guarded() bool          { return true }
func (o *subjectTokenOutlet) String() string         { return at(o.Listen, o.path(anyIdentity)) }
func (o *subjectTokenOutlet) path(name string) string {
	return cmp.Or(o.Path, "/subject/"+name)
}

// field is the one in a JSON object; empty for text.
func (o *subjectTokenOutlet) field() string {
	if o.Format != "json" {
		return ""
	}
	return cmp.Or(o.Field, "access_token")
}

func (o *subjectTokenOutlet) protocol(identities []outletIdentity, secret refresher.Secret, _ *slog.Logger) (*endpoints.Protocol, error) {
	if o.Path != "" && len(identities) > 1 {
		return nil, fmt.Errorf("path is for one identity; %d have /subject/NAME each", len(identities))
	}
	options := subjecttoken.Options{Secret: secret, Field: o.field()}
	for _, i := range identities {
		options.Entries = append(options.Entries, subjecttoken.Entry{Path: o.path(i.name), Provider: i.identity})
	}
	return subjecttoken.New(options), nil
}
