package agent

import (
	"cmp"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/gcemetadata"
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
