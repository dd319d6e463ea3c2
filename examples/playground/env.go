package main

import (
	"fmt"
	"strings"
)

// An environment is what makes the clients of one cloud, in a shell that sources env.sh, find wisp.
type environment struct {
	comment string
	set     []variable
	unset   []string // what outranks wisp's outlets, or would send the clients elsewhere
}

type variable struct{ name, value string }

// environments are those of all clouds. The secrets are what wisp made.
func environments(dir directory, at *listeners, appServiceSecret string) []environment {
	outlets := at.address(atOutlets)
	return []environment{
		{
			comment: "AWS: the container credentials endpoint. ~/.aws would come before it, so that is looked for here.",
			set: []variable{
				{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://" + outlets + awsContainerPath},
				{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", dir.file(awsSecret)},
				{"AWS_REGION", awsRegion},
				{"AWS_DEFAULT_REGION", awsRegion}, // boto3 and the AWS CLI 1 read only this one
				{"AWS_EC2_METADATA_DISABLED", "true"},
				{"AWS_ENDPOINT_URL_STS", at.url(atAWS)},
				{"AWS_CONFIG_FILE", dir.file("aws/config")},
				{"AWS_SHARED_CREDENTIALS_FILE", dir.file("aws/credentials")},
			},
			unset: []string{
				"AWS_PROFILE", "AWS_DEFAULT_PROFILE",
				"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
				"AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_FILE",
				"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
				"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
				"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
			},
		},
		{
			comment: "Google Cloud: the metadata server. Libraries differ in which variable they read; Python pings the IP.\n" +
				"# Go reads ~/.config/gcloud/application_default_credentials.json first if there is one, and no variable stops it.",
			set: []variable{
				{"GCE_METADATA_HOST", outlets},
				{"GCE_METADATA_IP", outlets},
				{"GCE_METADATA_ROOT", outlets},
				{"GCE_METADATA_MTLS_MODE", "none"},
				{"GOOGLE_CLOUD_PROJECT", googleProject},
				{"CLOUDSDK_CONFIG", dir.file("gcloud")}, // a stored account, or a stored "not on GCE", comes first
			},
			unset: []string{
				"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_QUOTA_PROJECT", "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
				"NO_GCE_CHECK", "METADATA_SERVER_DETECTION",
				"CLOUDSDK_AUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
				"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT", "CLOUDSDK_ACTIVE_CONFIG_NAME",
				"CLOUDSDK_CORE_ACCOUNT", "CLOUDSDK_CORE_PROJECT", "CLOUDSDK_CORE_UNIVERSE_DOMAIN",
				"CLOUDSDK_CORE_CHECK_GCE_METADATA",
			},
		},
		{
			comment: "Azure: App Service's endpoint, its older form, and the instance metadata service.",
			set: []variable{
				{"IDENTITY_ENDPOINT", "http://" + outlets + appServicePath},
				{"IDENTITY_HEADER", appServiceSecret},
				{"MSI_ENDPOINT", "http://" + outlets + appServicePath},
				{"MSI_SECRET", appServiceSecret},
				{"AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://" + outlets},
				{"MSAL_MANAGED_IDENTITY_ENDPOINT", "http://" + outlets + azureIMDSPath},
				{"AZURE_CLIENT_ID", entraClient},
				{"AZURE_CONFIG_DIR", dir.file("azure")},
			},
			unset: []string{
				"AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_TOKEN_CREDENTIALS",
				"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME", "AZURE_PASSWORD",
				"IMDS_ENDPOINT", "IDENTITY_SERVER_THUMBPRINT", "DEFAULT_IDENTITY_CLIENT_ID",
			},
		},
	}
}

// noProxy extends what the shell has. A proxy would add X-Forwarded-For, which every outlet refuses.
const noProxy = `
# Python and Node would send even what is for loopback to a proxy.
NO_PROXY="${NO_PROXY:-${no_proxy:-}}"
NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost"
no_proxy="$NO_PROXY"
export NO_PROXY no_proxy
`

// script is env.sh: for any POSIX shell, with set -eu, too.
func script(list []environment) []byte {
	var text strings.Builder
	text.WriteString("# Points the AWS, Google Cloud and Azure clients of a shell at wisp's playground: source this file.\n")
	for _, e := range list {
		fmt.Fprintf(&text, "\n# %s\n", e.comment)
		for _, v := range e.set {
			fmt.Fprintf(&text, "export %s=%s\n", v.name, quoteShell(v.value))
		}
		fmt.Fprintf(&text, "unset %s\n", strings.Join(e.unset, " "))
	}
	text.WriteString(noProxy)
	return []byte(text.String())
}

// quoteShell quotes any text for a POSIX shell: nothing is special between single quotes but their end.
func quoteShell(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// values are the variables by name.
func values(list []environment) map[string]string {
	all := map[string]string{}
	for _, e := range list {
		for _, v := range e.set {
			all[v.name] = v.value
		}
	}
	return all
}
