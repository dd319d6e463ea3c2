package agent

import (
	"cmp"
	"log/slog"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/appservice"
	"github.com/wisp-sidecar/wisp/endpoints/azureimds"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/refresher"
)

// azureIMDSOutlet is the identity part of Azure's instance metadata service.
type azureIMDSOutlet struct {
	Listen string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
}

func (o *azureIMDSOutlet) check() []refresher.FieldError { return nil }
func (o *azureIMDSOutlet) accepts(s shape) string        { return only(entraBearer, s) }
func (o *azureIMDSOutlet) listen() string                { return o.Listen }
func (o *azureIMDSOutlet) secret() secretPlace           { return secretPlace{} }
func (o *azureIMDSOutlet) guarded() bool                 { return false }
func (o *azureIMDSOutlet) String() string                { return at(o.Listen, azureimds.TokenPath) }

func (o *azureIMDSOutlet) detect(e *outletEnvironment) { o.Listen = e.listen }

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
	CloudShell bool   `yaml:"cloudShell" doc:"also answer the form of Azure Cloud Shell, which has no secret (default false)"`
}

func (o *appServiceOutlet) check() []refresher.FieldError {
	return append(checkPath(o.Path), requireSecret(o.secret())...)
}

func (o *appServiceOutlet) accepts(s shape) string { return only(entraBearer, s) }
func (o *appServiceOutlet) listen() string         { return o.Listen }
func (o *appServiceOutlet) secret() secretPlace    { return secretPlace{o.SecretFile, o.SecretEnv} }
func (o *appServiceOutlet) guarded() bool          { return !o.CloudShell }
func (o *appServiceOutlet) String() string {
	return at(o.Listen, cmp.Or(o.Path, appservice.DefaultPath))
}

func (o *appServiceOutlet) detect(e *outletEnvironment) {
	const secret = "IDENTITY_HEADER"
	if o.Listen = e.listen; e.first(secret) != "" {
		o.SecretEnv = secret
		return
	}
	o.SecretFile = e.secretFile
}

func (o *appServiceOutlet) protocol(identities []outletIdentity, secret refresher.Secret, log *slog.Logger) (*endpoints.Protocol, error) {
	return appservice.New(appservice.Options{
		Path: o.Path, Secret: secret, Identities: azureIdentities(identities), CloudShell: o.CloudShell, Log: log,
	}), nil
}

func (o *appServiceOutlet) variables(i outletIdentity, secret refresher.Secret) []Variable {
	endpoint := at(o.Listen, cmp.Or(o.Path, appservice.DefaultPath))
	return append([]Variable{
		{Name: "IDENTITY_ENDPOINT", Value: endpoint},
		{Name: "IDENTITY_HEADER", Value: secret.Reveal(), Secret: true},
		{Name: "MSI_ENDPOINT", Value: endpoint},
		{Name: "MSI_SECRET", Value: secret.Reveal(), Secret: true},
		// Older releases of the Azure CLI look at MSI_SECRET only if this is set.
		{Name: "APPSETTING_WEBSITE_SITE_NAME", Value: "wisp"},
	}, azureClient(i)...)
}

func (o *azureIMDSOutlet) variables(i outletIdentity, _ refresher.Secret) []Variable {
	return append([]Variable{
		{Name: "AZURE_POD_IDENTITY_AUTHORITY_HOST", Value: at(o.Listen, "")},
		{Name: "MSAL_MANAGED_IDENTITY_ENDPOINT", Value: at(o.Listen, azureimds.TokenPath)},
	}, azureClient(i)...)
}

// azureClient makes DefaultAzureCredential ask for this identity.
func azureClient(i outletIdentity) []Variable {
	return []Variable{{Name: "AZURE_CLIENT_ID", Value: i.exchange.(*entraExchange).ClientID}} // accepts has let nothing else through
}
