package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/go-autorest/autorest/adal"
)

const vault = "https://vault.azure.net"

// azureIdentity is azidentity: the managed identity, and with the option "default" the default credential, too.
func azureIdentity(_ context.Context, asked options) (client, error) {
	var common azcore.ClientOptions
	if wisp := os.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST"); wisp != "" {
		common.Transport = interceptor{wisp}
	}
	managed, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: common})
	if err != nil {
		return nil, err
	}
	credentials := []azcore.TokenCredential{managed}
	if asked["default"] {
		chain, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: common})
		if err != nil {
			return nil, err
		}
		credentials = append(credentials, chain)
	}
	return func(ctx context.Context) (string, []string, error) {
		var seen, tokens []string
		for _, credential := range credentials {
			token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{vault + "/.default"}})
			if err != nil {
				return "", nil, err
			}
			who, err := call(ctx, token.Token, http.DefaultClient)
			if err != nil {
				return "", nil, err
			}
			seen, tokens = append(seen, who), append(tokens, token.Token)
		}
		return strings.Join(seen, " "), tokens, nil
	}, nil
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

// azureADAL is adal, which is retired, and still in kubelogin, cloud providers and much else.
func azureADAL(context.Context, options) (client, error) {
	var made *adal.ServicePrincipalToken
	var err error
	if endpoint := os.Getenv("MSAL_MANAGED_IDENTITY_ENDPOINT"); endpoint != "" {
		// The successor of this function has no way to say where.
		made, err = adal.NewServicePrincipalTokenFromMSI(endpoint, vault)
	} else {
		made, err = adal.NewServicePrincipalTokenFromManagedIdentity(vault, nil)
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, []string, error) {
		if err := made.EnsureFreshWithContext(ctx); err != nil {
			return "", nil, err
		}
		token := made.OAuthToken()
		who, err := call(ctx, token, http.DefaultClient)
		return who, []string{token}, err
	}, nil
}
