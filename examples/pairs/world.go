package pairs

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// Options configure a [World].
type Options struct {
	// URL is where the world is served, without a path. Required.
	URL string
	// Dir is an empty directory for tokens and secrets. Required.
	Dir string
	Now func() time.Time // of all services; nil is time.Now
}

// A World is all that the pairs need around wisp: the platforms that say who a workload is, and the clouds
// that trust them. All of its services answer at one address, told apart by their paths. Issuers have
// their real names, and the clouds look them up without a socket. It is safe for concurrent use.
type World struct {
	Kubernetes *cloudtest.Issuer
	Kubelet    *cloudtest.Kubelet
	GitHub     *cloudtest.GitHub
	AzureIMDS  *cloudtest.AzureIMDS
	GCE        *cloudtest.GCEMetadata
	EC2        *cloudtest.EC2
	Container  *cloudtest.AWSContainer
	SAML       *cloudtest.SAMLIdP

	AWS    *cloudtest.AWS
	Google *cloudtest.Google
	Entra  *cloudtest.Entra
	OAuth  *cloudtest.OAuthSTS

	o        Options
	internet *cloudtest.Network // where the clouds find issuers, and Google AWS
}

// Who the workload is to everybody.
const (
	workload   = "system:serviceaccount:shop:reports"
	repository = "shop/reports"

	account      = "123456789012"
	otherAccount = "210987654321"
	region       = "eu-west-1"
	awsAudience  = "sts.amazonaws.com"

	pool           = "projects/123456789/locations/global/workloadIdentityPools/shop"
	serviceAccount = "reports@shop-prod.iam.gserviceaccount.com"

	tenant        = "11111111-2222-3333-4444-555555555555"
	client        = "66666666-7777-8888-9999-000000000000"
	entraAudience = "api://AzureADTokenExchange"
	application   = "api://reports" // an application of ours, registered for tokens that others verify

	vmTenant    = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	vmPrincipal = "0a0a0a0a-1b1b-4c2c-8d3d-4e4e4e4e4e4e"

	entityID = "https://idp.example/saml"

	oauthURL      = "https://sts.example"
	oauthClient   = "wisp"
	oauthSecret   = "a secret that the client has been given"
	oauthAudience = "https://reports.example"
	urlSecret     = "a secret that the URL demands"
)

// Role is the ARN of the role that trusts an issuer, by the issuer's short name.
func role(of string) string { return "arn:aws:iam::" + account + ":role/" + of }

// provider is the full name of the provider for an issuer, without a scheme.
func provider(of string) string { return "//iam.googleapis.com/" + pool + "/providers/" + of }

// NewWorld makes the services, and writes tokens and secrets below Dir.
func NewWorld(o Options) (*World, error) {
	w := &World{o: o, internet: cloudtest.NewNetwork()}
	w.platforms()
	subject, err := w.gceSubject()
	if err != nil {
		return nil, err
	}
	w.clouds(subject)
	w.EC2 = cloudtest.NewEC2(cloudtest.EC2Options{AWS: w.AWS, RoleARN: role("machine"), Now: o.Now})
	w.Container = cloudtest.NewAWSContainer(cloudtest.AWSContainerOptions{AWS: w.AWS, RoleARN: role("machine"), Now: o.Now})
	w.publish()
	return w, w.write()
}

// platforms are those that say who a workload is.
func (w *World) platforms() {
	now := w.o.Now
	w.Kubernetes = cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example", Now: now})
	w.GitHub = cloudtest.NewGitHub(cloudtest.GitHubOptions{Repository: repository, URL: w.o.URL, Now: now})
	w.AzureIMDS = cloudtest.NewAzureIMDS(cloudtest.AzureIMDSOptions{
		TenantID:  vmTenant,
		Resources: []string{"api://wisp-google", "api://wisp-aws"},
		Identities: []cloudtest.ManagedIdentity{{
			ClientID: "0b0b0b0b-1c1c-4d2d-8e3e-4f4f4f4f4f4f", ObjectID: vmPrincipal, SystemAssigned: true,
			ResourceID: "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/reports",
		}},
		Now: now,
	})
	w.GCE = cloudtest.NewGCEMetadata(cloudtest.GCEMetadataOptions{ProjectID: "shop-vm", Accounts: []string{serviceAccount}, Now: now})
	w.SAML = cloudtest.NewSAMLIdP(cloudtest.SAMLOptions{EntityID: entityID, Now: now})
}

// clouds trust the platforms, and each other.
func (w *World) clouds(gceSubject string) {
	const google, azureVM, entra = "https://accounts.google.com", "https://sts.windows.net/" + vmTenant + "/", "https://sts.windows.net/" + tenant + "/"
	w.AWS = cloudtest.NewAWS(cloudtest.AWSOptions{
		Transport: w.internet, Now: w.o.Now,
		Providers: []cloudtest.OIDCProvider{
			{Account: account, Issuer: w.Kubernetes.URL(), Audiences: []string{awsAudience}},
			{Account: account, Issuer: w.GitHub.Issuer().URL(), Audiences: []string{awsAudience}},
			{Account: account, Issuer: azureVM, Audiences: []string{"api://wisp-aws"}},
			{Account: account, Issuer: google, Audiences: []string{awsAudience}},
			{Account: account, Issuer: entra, Audiences: []string{application}},
			{Account: account, Issuer: oauthURL, Audiences: []string{oauthAudience}},
		},
		Roles: []cloudtest.Role{
			{ARN: role("kubernetes"), Issuer: w.Kubernetes.URL(), Subjects: []string{workload}},
			{ARN: role("github"), Issuer: w.GitHub.Issuer().URL(), Subjects: []string{w.GitHub.Subject()}},
			{ARN: role("azure"), Issuer: azureVM, Subjects: []string{vmPrincipal}},
			{ARN: role("gce"), Issuer: google, Subjects: []string{gceSubject}},
			{ARN: role("google"), Issuer: google, Subjects: []string{"*"}},
			{ARN: role("entra"), Issuer: entra, Subjects: []string{"*"}},
			{ARN: role("oauth"), Issuer: oauthURL, Subjects: []string{workload}},
			{ARN: role("machine")},
			{ARN: "arn:aws:iam::" + otherAccount + ":role/archive", TrustedAccounts: []string{account}, ExternalID: "shop"},
		},
	})
	var providers []cloudtest.PoolProvider
	for name, issuer := range map[string]string{
		"kubernetes": w.Kubernetes.URL(), "github": w.GitHub.Issuer().URL(),
	} {
		providers = append(providers, cloudtest.PoolProvider{Name: pool + "/providers/" + name, Issuer: issuer})
	}
	providers = append(providers,
		cloudtest.PoolProvider{Name: pool + "/providers/azure", Issuer: azureVM, AllowedAudiences: []string{"api://wisp-google"}},
		cloudtest.PoolProvider{Name: pool + "/providers/entra", Issuer: entra, AllowedAudiences: []string{application}},
		cloudtest.PoolProvider{Name: pool + "/providers/oauth", Issuer: oauthURL, AllowedAudiences: []string{oauthAudience}},
		cloudtest.PoolProvider{Name: pool + "/providers/amazon", AWSAccount: account},
		cloudtest.PoolProvider{Name: pool + "/providers/saml", SAMLEntityID: entityID, SAMLCertificates: []*x509.Certificate{w.SAML.Certificate()}},
	)
	w.Google = cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Transport: w.internet, Now: w.o.Now, Providers: providers,
		ServiceAccounts: []cloudtest.ServiceAccount{{
			Email: serviceAccount, Impersonators: []string{"principalSet://iam.googleapis.com/" + pool + "/*"},
		}},
	})
	w.Entra = cloudtest.NewEntra(cloudtest.EntraOptions{
		Transport: w.internet, Now: w.o.Now,
		Resources: []string{application, "https://management.azure.com"},
		Apps: []cloudtest.App{{TenantID: tenant, ClientID: client, Credentials: []cloudtest.FederatedCredential{
			{Issuer: w.Kubernetes.URL(), Subject: workload, Audience: entraAudience},
			{Issuer: w.GitHub.Issuer().URL(), Subject: w.GitHub.Subject(), Audience: entraAudience},
			{Issuer: google, Subject: gceSubject, Audience: entraAudience},
			{Issuer: oauthURL, Subject: workload, Audience: oauthAudience},
		}}},
	})
	w.OAuth = cloudtest.NewOAuthSTS(cloudtest.OAuthSTSOptions{
		URL: oauthURL, Transport: w.internet, Now: w.o.Now, Lifetime: time.Hour,
		Clients:   []cloudtest.OAuthClient{{ID: oauthClient, Auth: "client_secret_basic", Secret: oauthSecret}},
		Audiences: []string{oauthAudience, awsAudience},
		Trusted: []cloudtest.Trust{
			{Issuer: w.Kubernetes.URL(), Audiences: []string{oauthAudience}},
			{Issuer: w.GitHub.Issuer().URL(), Audiences: []string{oauthAudience}},
			{Issuer: google, Audiences: []string{oauthAudience}},
			{Issuer: entra, Audiences: []string{application}},
		},
		SAML: func(raw string) (string, error) {
			subject, err := cloudtest.VerifySAML(raw, cloudtest.SAMLTrust{
				EntityID: entityID, Certificates: []*x509.Certificate{w.SAML.Certificate()}, Audiences: []string{oauthURL}, Now: w.o.Now,
			})
			return subject.NameID, err
		},
	})
}

// audiences are those of the Kubernetes tokens, by the cloud that they are for.
var audiences = map[string]string{
	"aws": awsAudience, "google": "https:" + provider("kubernetes"), "entra": entraAudience, "oauth": oauthAudience,
}

func (w *World) mint(audience string) string {
	return w.Kubernetes.Mint(cloudtest.TokenOptions{
		Namespace: "shop", ServiceAccount: "reports", Pod: "reports-0", Audience: []string{audience}, Lifetime: time.Hour,
	})
}

// file is the path of something below Dir.
func (w *World) file(parts ...string) string {
	return filepath.Join(append([]string{w.o.Dir}, parts...)...)
}

// write makes the token volume, and the files that somebody else would make.
func (w *World) write() (err error) {
	var tokens []cloudtest.ProjectedToken
	for name, audience := range audiences {
		tokens = append(tokens, cloudtest.ProjectedToken{Path: name, Audience: audience, Lifetime: time.Hour})
	}
	w.Kubelet, err = cloudtest.NewKubelet(cloudtest.KubeletOptions{
		Dir: w.file("tokens"), Tokens: tokens, Mode: 0o600, DirMode: 0o755, RootMode: 0o755,
		Mint: func(t cloudtest.ProjectedToken) string { return w.mint(t.Audience) },
	})
	if err != nil {
		return err
	}
	if err := w.writeScript(); err != nil {
		return err
	}
	files := map[string]string{"client-secret": oauthSecret}
	for name, audience := range map[string]string{"google": "https:" + provider("saml"), "oauth": oauthURL} {
		files["saml-"+name] = w.SAML.Mint(cloudtest.SAMLTokenOptions{NameID: "reports", Audience: audience})
	}
	for name, text := range files {
		if err := os.WriteFile(w.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return w.Kubelet.Rotate()
}

// script is a program as Google's executable-source protocol wants it, in its simplest form.
const script = `#!/bin/sh
printf '{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:jwt","id_token":"%s"}' "$(cat "$1")"
`

func (w *World) program() string { return w.file("bin", "print-token") }

// writeScript puts the script where nobody else can change it.
func (w *World) writeScript() error {
	if err := os.MkdirAll(filepath.Dir(w.program()), 0o700); err != nil {
		return err
	}
	return os.WriteFile(w.program(), []byte(script), 0o700)
}

// gceSubject is the number by which Google calls the virtual machine's service account.
func (w *World) gceSubject() (string, error) {
	w.internet.Handle("metadata.google.internal", w.GCE)
	r, err := http.NewRequest(http.MethodGet, "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity?audience=any", nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Metadata-Flavor", "Google")
	answer, err := w.internet.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	claims, err := refresher.ParseClaims(refresher.Secret(text))
	if err != nil {
		return "", fmt.Errorf("the virtual machine's ID token: %w", err)
	}
	return claims.Subject, nil
}
