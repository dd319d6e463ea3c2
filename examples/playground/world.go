package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// Who the workload is, in Kubernetes and to each cloud.
const (
	namespace      = "shop"
	serviceAccount = "reports"
	pod            = "reports-6c9f7"
	subject        = "system:serviceaccount:" + namespace + ":" + serviceAccount

	awsAccount  = "111122223333"
	awsRole     = "arn:aws:iam::" + awsAccount + ":role/reports"
	awsArchive  = "arn:aws:iam::" + awsAccount + ":role/archive" // a second role
	awsRegion   = "eu-west-1"
	awsAudience = "sts.amazonaws.com"

	googleProject  = "wisp-playground"
	googlePool     = "projects/123456789012/locations/global/workloadIdentityPools/clusters"
	googleProvider = googlePool + "/providers/playground"
	googleAudience = "https://iam.googleapis.com/" + googleProvider
	googleAccount  = "reports@" + googleProject + ".iam.gserviceaccount.com"
	googleArchive  = "archive@" + googleProject + ".iam.gserviceaccount.com" // a second account

	entraTenant   = "72f1a6c0-5b1e-4c55-9d9e-0a6d5f3b7c11"
	entraClient   = "c0ffee00-8d2b-4f0e-b4c6-2f9d1e7a5b22"
	entraArchive  = "a2c417e0-1f63-4a0e-9b1d-5d1c6f3e8b90" // a second application
	entraAudience = "api://AzureADTokenExchange"
)

const (
	// tokenLifetime is what Kubernetes grants unless it is asked for something else. The kubelet renews
	// such a token after 48 minutes; ours does so at every rotation, or nobody would see it happen.
	tokenLifetime = time.Hour
	rotation      = 10 * time.Second
)

// tokens are the files of the projected volume: one token per cloud, because each wants an audience of
// its own.
var tokens = []cloudtest.ProjectedToken{
	{Path: "aws/token", Audience: awsAudience, Lifetime: tokenLifetime},
	{Path: "google/token", Audience: googleAudience, Lifetime: tokenLifetime},
	{Path: "azure/token", Audience: entraAudience, Lifetime: tokenLifetime},
}

// A world is everything around wisp: the cluster that issues tokens, and the clouds that take them.
type world struct {
	issuer  *cloudtest.Issuer
	kubelet *cloudtest.Kubelet
	aws     *cloudtest.AWS
	google  *cloudtest.Google
	entra   *cloudtest.Entra
	at      *listeners
}

// newWorld makes a world whose clouds trust its issuer. The token volume is below dir.
func newWorld(dir directory, lifetime time.Duration, at *listeners) (*world, error) {
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: at.url(atIssuer)})
	kubelet, err := cloudtest.NewKubelet(cloudtest.KubeletOptions{
		Dir: dir.file(volumeDir), Tokens: tokens, Mode: 0o600, DirMode: 0o755, RootMode: 0o755,
		Mint: func(t cloudtest.ProjectedToken) string {
			return issuer.Mint(cloudtest.TokenOptions{
				Namespace: namespace, ServiceAccount: serviceAccount, Pod: pod,
				Audience: []string{t.Audience}, Lifetime: t.Lifetime,
			})
		},
	})
	if err != nil {
		return nil, err
	}
	const googleMember = "principal://iam.googleapis.com/" + googlePool + "/subject/" + subject
	federated := []cloudtest.FederatedCredential{{Issuer: issuer.URL(), Subject: subject, Audience: entraAudience}}
	w := &world{
		issuer: issuer, kubelet: kubelet, at: at,
		aws: cloudtest.NewAWS(cloudtest.AWSOptions{
			Providers: []cloudtest.OIDCProvider{{Account: awsAccount, Issuer: issuer.URL(), Audiences: []string{awsAudience}}},
			Roles: []cloudtest.Role{
				{ARN: awsRole, Issuer: issuer.URL(), Subjects: []string{subject}},
				{ARN: awsArchive, Issuer: issuer.URL(), Subjects: []string{subject}},
			},
		}),
		google: cloudtest.NewGoogle(cloudtest.GoogleOptions{
			Providers: []cloudtest.PoolProvider{{Name: googleProvider, Issuer: issuer.URL()}},
			ServiceAccounts: []cloudtest.ServiceAccount{
				{Email: googleAccount, Impersonators: []string{googleMember}},
				{Email: googleArchive, Impersonators: []string{googleMember}},
			},
		}),
		entra: cloudtest.NewEntra(cloudtest.EntraOptions{
			Apps: []cloudtest.App{
				{TenantID: entraTenant, ClientID: entraClient, Credentials: federated},
				{TenantID: entraTenant, ClientID: entraArchive, Credentials: federated},
			},
		}),
	}
	w.aws.LimitLifetime(lifetime)
	w.google.LimitLifetime(lifetime)
	w.entra.LimitLifetime(lifetime)
	return w, nil
}

// run serves issuer and clouds until ctx ends.
func (w *world) run(ctx context.Context) error {
	return w.at.serve(ctx, map[place]http.Handler{atIssuer: w.issuer, atAWS: w.aws, atGoogle: w.google, atEntra: w.entra})
}

// exchanges counts what the clouds were asked for.
func (w *world) exchanges() string {
	return fmt.Sprintf("AWS AssumeRoleWithWebIdentity %d; Google token %d, generateAccessToken %d, generateIdToken %d; Entra token %d",
		w.aws.Calls("AssumeRoleWithWebIdentity"),
		w.google.Calls("token"), w.google.Calls("generateAccessToken"), w.google.Calls("generateIdToken"),
		w.entra.Calls("token"))
}
