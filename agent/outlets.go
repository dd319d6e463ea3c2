package agent

import (
	"cmp"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"regexp"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/appservice"
	"github.com/wisp-sidecar/wisp/endpoints/awscontainer"
	"github.com/wisp-sidecar/wisp/endpoints/azureimds"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/endpoints/file"
	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/endpoints/gcemetadata"
	"github.com/wisp-sidecar/wisp/refresher"
)

// at says where an HTTP outlet is, for people.
func at(listen, path string) string {
	return "http://" + cmp.Or(listen, defaultListen) + path
}

// anyIdentity stands for an identity's name.
const anyIdentity = "IDENTITY"

// only refuses every shape but one.
func only(want, got shape) string {
	if got == want {
		return ""
	}
	return "this outlet shows " + string(want)
}

// awsContainerOutlet is the AWS container credentials endpoint.
type awsContainerOutlet struct {
	Listen     string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
	Path       string `yaml:"path" doc:"path of the one identity (default /aws/IDENTITY, which several identities always have)"`
	SecretFile string `yaml:"secretFile" doc:"file with the secret that callers have to send as Authorization; made if missing, and what AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names (default: no secret)"`
	SecretEnv  string `yaml:"secretEnv" doc:"environment variable with that secret, instead of a file"`
}

func (o *awsContainerOutlet) check() []refresher.FieldError {
	if o.Path != "" && !plainPath(o.Path) {
		return []refresher.FieldError{{Field: "path", Problem: "must be an absolute path without empty, dotted or escaped parts"}}
	}
	return nil
}

// plainPath: every client spells it the same way.
func plainPath(p string) bool {
	return strings.HasPrefix(p, "/") && len(p) > 1 && path.Clean(p) == p && !strings.ContainsAny(p, "%?#;\\ \t\r\n")
}

func (o *awsContainerOutlet) accepts(s shape) string { return only(accessKey, s) }
func (o *awsContainerOutlet) listen() string         { return o.Listen }
func (o *awsContainerOutlet) secret() secretPlace    { return secretPlace{o.SecretFile, o.SecretEnv} }
func (o *awsContainerOutlet) guarded() bool          { return o.secret() != (secretPlace{}) }
func (o *awsContainerOutlet) String() string {
	return at(o.Listen, cmp.Or(o.Path, "/aws/"+anyIdentity))
}

func (o *awsContainerOutlet) protocol(identities []outletIdentity, secret refresher.Secret, _ *slog.Logger) (*endpoints.Protocol, error) {
	if o.Path != "" && len(identities) > 1 {
		return nil, fmt.Errorf("path is for one identity; %d have /aws/NAME each", len(identities))
	}
	options := awscontainer.Options{Secret: secret}
	for _, i := range identities {
		entry := awscontainer.Entry{Path: cmp.Or(o.Path, "/aws/"+i.name), Provider: i.identity}
		if aws, ok := i.exchange.(*awsExchange); ok {
			entry.RoleARN = aws.RoleARN
		}
		options.Entries = append(options.Entries, entry)
	}
	return awscontainer.New(options), nil
}

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

// azureIMDSOutlet is the identity part of Azure's instance metadata service.
type azureIMDSOutlet struct {
	Listen string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
}

func (o *azureIMDSOutlet) check() []refresher.FieldError { return nil }
func (o *azureIMDSOutlet) accepts(s shape) string        { return only(entraBearer, s) }
func (o *azureIMDSOutlet) listen() string                { return o.Listen }
func (o *azureIMDSOutlet) secret() secretPlace           { return secretPlace{} }
func (o *azureIMDSOutlet) guarded() bool                 { return false }
func (o *azureIMDSOutlet) String() string                { return at(o.Listen, "/metadata/identity/oauth2/token") }

func (o *azureIMDSOutlet) protocol(identities []outletIdentity, _ refresher.Secret, _ *slog.Logger) (*endpoints.Protocol, error) {
	return azureimds.New(azureimds.Options{Identities: azureIdentities(identities)}), nil
}

func azureIdentities(identities []outletIdentity) []azuretoken.Identity {
	var list []azuretoken.Identity
	for _, i := range identities {
		entra := i.exchange.(*entraExchange) // accepts has let nothing else through
		list = append(list, azuretoken.Identity{
			ClientID: entra.ClientID, ObjectID: entra.ObjectID, ResourceID: entra.ResourceID, Provider: i.identity,
		})
	}
	return list
}

// appServiceOutlet is the managed identity endpoint of Azure App Service.
type appServiceOutlet struct {
	Listen     string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
	Path       string `yaml:"path" doc:"path of IDENTITY_ENDPOINT and MSI_ENDPOINT (default /msi/token)"`
	SecretFile string `yaml:"secretFile" doc:"file with the secret that IDENTITY_HEADER and MSI_SECRET hold; made if missing (this or secretEnv is required)"`
	SecretEnv  string `yaml:"secretEnv" doc:"environment variable with that secret"`
	CloudShell bool   `yaml:"cloudShell" doc:"also answer the POST form of Azure Cloud Shell, which has no secret (default false)"`
}

func (o *appServiceOutlet) check() []refresher.FieldError {
	var list []refresher.FieldError
	if o.Path != "" && !plainPath(o.Path) {
		list = append(list, refresher.FieldError{Field: "path", Problem: "must be an absolute path without empty, dotted or escaped parts"})
	}
	if o.SecretFile == "" && o.SecretEnv == "" {
		list = append(list, refresher.FieldError{Field: "secretFile", Problem: "is missing: clients of this endpoint always send a secret (or set secretEnv)"})
	}
	return list
}

func (o *appServiceOutlet) accepts(s shape) string { return only(entraBearer, s) }
func (o *appServiceOutlet) listen() string         { return o.Listen }
func (o *appServiceOutlet) secret() secretPlace    { return secretPlace{o.SecretFile, o.SecretEnv} }
func (o *appServiceOutlet) guarded() bool          { return !o.CloudShell }
func (o *appServiceOutlet) String() string {
	return at(o.Listen, cmp.Or(o.Path, appservice.DefaultPath))
}

func (o *appServiceOutlet) protocol(identities []outletIdentity, secret refresher.Secret, log *slog.Logger) (*endpoints.Protocol, error) {
	return appservice.New(appservice.Options{
		Path: o.Path, Secret: secret, Identities: azureIdentities(identities), CloudShell: o.CloudShell, Log: log,
	}), nil
}

// fileOutlet writes one credential into one file.
type fileOutlet struct {
	Path                string      `yaml:"path" doc:"absolute path of the file; its directory has to exist (required)"`
	Format              string      `yaml:"format" doc:"token, json, awsSharedCredentials or credentialProcess (required)"`
	Profile             string      `yaml:"profile" doc:"section of an AWS shared credentials file (default default)"`
	Scopes              []string    `yaml:"scopes" doc:"scopes instead of the identity's default (Google, oauthSTS)"`
	Resource            string      `yaml:"resource" doc:"resource instead of the identity's default (Entra)"`
	Audience            string      `yaml:"audience" doc:"an ID token for this audience instead of an access token (Google, oauthSTS)"`
	Mode                fs.FileMode `yaml:"mode" doc:"permissions: 0600, 0640 or 0644 (default 0600)"`
	Group               *int        `yaml:"group" doc:"numeric id of the group that the file is given to"`
	AllowInsecureParent bool        `yaml:"allowInsecureParent" doc:"permit a directory that anybody can write to, as a Kubernetes emptyDir is: whoever can write there can replace the file (default false)"`
	Cleanup             string      `yaml:"cleanup" doc:"onExit: remove the file when wisp ends; never (default onExit on a memory file system, else never)"`
}

func (o *fileOutlet) options() file.Options {
	return file.Options{
		Path: o.Path,
		Encode: func(c refresher.Credential) ([]byte, error) {
			return format.Formats[o.Format].Encode(c, format.Options{Profile: o.Profile})
		},
		Target: Target(o.Scopes, o.Resource, o.Audience),
		Mode:   o.Mode, Group: o.Group, Cleanup: file.Cleanup(o.Cleanup), AllowInsecureParent: o.AllowInsecureParent,
	}
}

func (o *fileOutlet) check() []refresher.FieldError {
	list := append(o.options().Check(), format.Check(o.Format, format.Options{Profile: o.Profile})...)
	if o.Audience != "" && len(o.Scopes) > 0 {
		list = append(list, refresher.FieldError{Field: "audience", Problem: "is set besides scopes: an ID token has none"})
	}
	return list
}

func (o *fileOutlet) accepts(s shape) string {
	f, known := format.Formats[o.Format]
	switch {
	case !known:
		return "" // reported by check
	case s == accessKey && !f.AccessKey, s != accessKey && !f.Bearer:
		return "the format " + o.Format + " does not show that"
	case len(o.Scopes) > 0 && !s.scoped():
		return "scopes are for Google and oauthSTS"
	case o.Audience != "" && !s.scoped():
		return "an audience is for Google and oauthSTS"
	case o.Resource != "" && s != entraBearer:
		return "a resource is for Entra"
	}
	return ""
}

func (o *fileOutlet) String() string { return o.Path + " as " + o.Format }

func (o *fileOutlet) writer(identity outletIdentity, log *slog.Logger) (writer, error) {
	options := o.options()
	options.Log = log
	w, err := file.New(options, identity.identity)
	if err != nil {
		return nil, err
	}
	return w, nil
}
