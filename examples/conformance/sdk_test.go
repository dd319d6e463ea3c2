package conformance_test

import (
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"cloud.google.com/go/compute/metadata"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/go-autorest/autorest/adal"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

func TestAWSSDKForGo(t *testing.T) {
	c, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := c.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(credentials.Expires); credentials.Source != "CredentialsEndpointProvider" || left > lifetime {
		t.Errorf("credentials are from %s and live for %v, want CredentialsEndpointProvider and at most %v", credentials.Source, left, lifetime)
	}
	who, err := sts.NewFromConfig(c).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *who.Arn != awsARN || *who.Account != credentials.AccountID {
		t.Errorf("caller identity = %s in %s, want %s in %s", *who.Arn, *who.Account, awsARN, credentials.AccountID)
	}
}

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

func TestOAuth2ForGo(t *testing.T) {
	sources := map[string]func() (oauth2.TokenSource, error){
		"ComputeTokenSource": func() (oauth2.TokenSource, error) {
			return google.ComputeTokenSource("", cloudPlatform), nil
		},
		"FindDefaultCredentials": func() (oauth2.TokenSource, error) {
			found, err := google.FindDefaultCredentials(t.Context(), cloudPlatform)
			if err != nil {
				return nil, err
			}
			if found.ProjectID != googleProject {
				t.Errorf("project = %q, want %q", found.ProjectID, googleProject)
			}
			return found.TokenSource, nil
		},
	}
	for name, find := range sources {
		t.Run(name, func(t *testing.T) {
			source, err := find()
			if err != nil {
				t.Fatal(err)
			}
			token, err := source.Token()
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(token.Expiry); left <= 0 || left > lifetime {
				t.Errorf("the token lives for %v, want at most %v", left, lifetime)
			}
			googleKnows(t, token.AccessToken)
		})
	}
}

func TestAzidentityForGo(t *testing.T) {
	scope := policy.TokenRequestOptions{Scopes: []string{vault + "/.default"}}
	check := func(t *testing.T, credential azcore.TokenCredential, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		token, err := credential.GetToken(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(token.ExpiresOn); left <= 0 || left > lifetime {
			t.Errorf("the token lives for %v, want at most %v", left, lifetime)
		}
		entraKnows(t, token.Token, vault)
	}
	t.Run("managed identity by App Service", func(t *testing.T) {
		credential, err := azidentity.NewManagedIdentityCredential(nil)
		check(t, credential, err)
	})
	t.Run("user-assigned managed identity by App Service", func(t *testing.T) {
		id := azidentity.ClientID(os.Getenv("AZURE_CLIENT_ID"))
		credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: id})
		check(t, credential, err)
	})
	t.Run("default credential", func(t *testing.T) {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		check(t, credential, err)
	})
	t.Run("managed identity by the older form", func(t *testing.T) {
		without(t, "IDENTITY_ENDPOINT", "IDENTITY_HEADER")
		credential, err := azidentity.NewManagedIdentityCredential(nil)
		check(t, credential, err)
	})
	t.Run("managed identity by IMDS", func(t *testing.T) {
		without(t, "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET")
		options := &azidentity.ManagedIdentityCredentialOptions{}
		options.Transport = interceptor{os.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")}
		credential, err := azidentity.NewManagedIdentityCredential(options)
		check(t, credential, err)
	})
}

// An interceptor leads to wisp what a client sends to 169.254.169.254, as a rule of the network would: no
// variable moves azidentity's IMDS elsewhere.
type interceptor struct{ wisp string }

// Do sends a request, its Host header unchanged.
func (i interceptor) Do(r *http.Request) (*http.Response, error) {
	wisp, err := url.Parse(i.wisp)
	if err != nil {
		return nil, err
	}
	redirected := r.Clone(r.Context())
	if r.URL.Host == "169.254.169.254" {
		redirected.Host, redirected.URL.Host = r.URL.Host, wisp.Host
	}
	return http.DefaultClient.Do(redirected)
}

// adal is retired, and still in kubelogin, cloud providers and much else.
func TestADALForGo(t *testing.T) {
	check := func(t *testing.T, token *adal.ServicePrincipalToken, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := token.RefreshWithContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if token.Token().IsExpired() {
			t.Error("the token has expired")
		}
		entraKnows(t, token.OAuthToken(), vault)
	}
	t.Run("managed identity by MSI_ENDPOINT", func(t *testing.T) {
		token, err := adal.NewServicePrincipalTokenFromManagedIdentity(vault, nil)
		check(t, token, err)
	})
	t.Run("managed identity by IMDS", func(t *testing.T) {
		without(t, "MSI_ENDPOINT", "MSI_SECRET")
		// The successor of this function has no way to say where.
		token, err := adal.NewServicePrincipalTokenFromMSI(os.Getenv("MSAL_MANAGED_IDENTITY_ENDPOINT"), vault)
		check(t, token, err)
	})
}

// without takes variables out of the environment for the rest of the test.
func without(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Setenv(name, "") // puts it back in the end
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}
