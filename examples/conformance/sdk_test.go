package conformance_test

import (
	"context"
	"testing"
	"time"

	"cloud.google.com/go/compute/metadata"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/oauth2/google"
)

// A developer's own settings do not lead SDKs past what env.sh says: each is asked for its default credentials. Which
// client gets on with which outlet is the matter of package clients.
func TestDefaultCredentials(t *testing.T) {
	sdks := map[string]func(context.Context, *testing.T) (expires time.Time, err error){
		"AWS SDK for Go": func(ctx context.Context, t *testing.T) (time.Time, error) {
			c, err := config.LoadDefaultConfig(ctx)
			if err != nil {
				return time.Time{}, err
			}
			who, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, nil)
			if err != nil {
				return time.Time{}, err
			}
			if *who.Arn != awsARN {
				t.Errorf("caller identity = %s, want %s", *who.Arn, awsARN)
			}
			credentials, err := c.Credentials.Retrieve(ctx)
			return credentials.Expires, err
		},
		"x/oauth2": func(ctx context.Context, t *testing.T) (time.Time, error) {
			found, err := google.FindDefaultCredentials(ctx, cloudPlatform)
			if err != nil {
				return time.Time{}, err
			}
			if found.ProjectID != googleProject {
				t.Errorf("project = %q, want %q", found.ProjectID, googleProject)
			}
			token, err := found.TokenSource.Token()
			if err != nil {
				return time.Time{}, err
			}
			googleKnows(t, token.AccessToken)
			return token.Expiry, nil
		},
		"azidentity": func(ctx context.Context, t *testing.T) (time.Time, error) {
			credential, err := azidentity.NewDefaultAzureCredential(nil)
			if err != nil {
				return time.Time{}, err
			}
			token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vault + "/.default"}})
			if err != nil {
				return time.Time{}, err
			}
			entraKnows(t, token.Token, vault)
			return token.ExpiresOn, nil
		},
	}
	for name, get := range sdks {
		t.Run(name, func(t *testing.T) {
			expires, err := get(t.Context(), t)
			if err != nil {
				t.Fatal(err)
			}
			// The SDK for AWS calls it expired five minutes early.
			if left := time.Until(expires); left > lifetime {
				t.Errorf("the credential lives for %v, want at most %v", left, lifetime)
			}
		})
	}
}

// The metadata server says what else clients want to know.
func TestComputeMetadataForGo(t *testing.T) {
	if !metadata.OnGCE() {
		t.Error("OnGCE = false")
	}
	client := metadata.NewClient(nil)
	tests := []struct {
		name string
		get  func() (string, error)
		want string
	}{
		{"project id", func() (string, error) { return client.ProjectIDWithContext(t.Context()) }, googleProject},
		{"numeric project id", func() (string, error) { return client.NumericProjectIDWithContext(t.Context()) }, googleNumber},
		{"e-mail", func() (string, error) { return client.EmailWithContext(t.Context(), "default") }, googleAccount},
		{"zone", func() (string, error) { return client.ZoneWithContext(t.Context()) }, "europe-west1-b"},
	}
	for _, tt := range tests {
		if got, err := tt.get(); err != nil || got != tt.want {
			t.Errorf("%s = %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
	token, err := client.GetWithContext(t.Context(), "instance/service-accounts/default/identity?audience=https://app.example")
	if err != nil {
		t.Fatal(err)
	}
	googleVouches(t, token, "https://app.example")
}
