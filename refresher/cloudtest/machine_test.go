package cloudtest_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"
)

// Google's own library finds its way through the metadata services of the other clouds, by the
// configurations that gcloud writes for them. It runs on the real clock, so these stories do.
func TestGoogleLibraryOnOtherMachines(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	first := newWorld(t)
	for _, c := range []struct {
		name    string
		machine func(*world, *cloudtest.Google) externalaccount.Config
		want    string // subject
	}{
		{"EC2", func(w *world, g *cloudtest.Google) externalaccount.Config {
			newEC2(w, cloudtest.EC2Options{AWS: newAWS(w), RoleARN: roleARN})
			g.PutProvider(cloudtest.PoolProvider{Name: provider, AWSAccount: "123456789012"})
			return externalaccount.Config{
				SubjectTokenType: "urn:ietf:params:aws:token-type:aws4_request",
				CredentialSource: &externalaccount.CredentialSource{
					EnvironmentID:               "aws1",
					RegionURL:                   ec2URL + "meta-data/placement/availability-zone",
					URL:                         ec2URL + "meta-data/iam/security-credentials",
					RegionalCredVerificationURL: "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
					IMDSv2SessionTokenURL:       ec2URL + "api/token",
				},
			}
		}, "arn:aws:sts::123456789012:assumed-role/reports/i-0123456789abcdef0"},
		{"Azure", func(w *world, g *cloudtest.Google) externalaccount.Config {
			newAzureIMDS(w, cloudtest.AzureIMDSOptions{Identities: []cloudtest.ManagedIdentity{reportsIdentity}})
			g.PutProvider(cloudtest.PoolProvider{Name: provider, Issuer: azureIssuer, AllowedAudiences: []string{azureApp}})
			return externalaccount.Config{
				SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
				CredentialSource: &externalaccount.CredentialSource{
					URL:     azureTokenURL + "?api-version=2018-02-01&resource=" + azureApp,
					Headers: map[string]string{"Metadata": "True"},
					Format:  externalaccount.Format{Type: "json", SubjectTokenFieldName: "access_token"},
				},
			}
		}, reportsIdentity.ObjectID},
		{"GitHub", func(w *world, g *cloudtest.Google) externalaccount.Config {
			job := newGitHub(w, cloudtest.GitHubOptions{})
			g.PutProvider(cloudtest.PoolProvider{Name: provider, Issuer: githubIssuer})
			return externalaccount.Config{
				SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
				CredentialSource: &externalaccount.CredentialSource{
					URL:     job.RequestURL() + "&audience=" + url.QueryEscape("https:"+audience),
					Headers: map[string]string{"Authorization": "Bearer " + job.RequestToken()},
					Format:  externalaccount.Format{Type: "json", SubjectTokenFieldName: "value"},
				},
			}
		}, "repo:octo/shop:ref:refs/heads/main"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			w.now = time.Now()
			g := newGoogle(w)
			config := c.machine(w, g)
			config.Audience, config.Scopes = audience, []string{scope}
			source, err := externalaccount.NewTokenSource(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: w.net}), config)
			if err != nil {
				t.Fatal(err)
			}
			w.now = time.Now().Add(5 * time.Minute) // a request must not be signed in the service's future, nor 15 minutes ago
			token, err := source.Token()
			if err != nil {
				t.Fatal(err)
			}
			want := "principal://iam.googleapis.com/" + pool + "/subject/" + c.want
			if got, _ := g.Principal(token.AccessToken); got != want {
				t.Errorf("Principal = %q, want %q", got, want)
			}
		})
	}
}
