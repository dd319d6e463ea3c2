package main

import (
	"net/url"
	"path/filepath"
)

// An outlet is one of wisp's, with how an application uses it and what it gets.
type outlet struct {
	kind     string
	form     string // tells it from others of its kind; may be empty
	identity string
	way      way
	shape
}

// outlets are all those of the configuration. Addresses and secrets come from env.sh, as they do for
// any client.
func outlets(env map[string]string, w *world) []outlet {
	const arm, vault = "https://management.azure.com/", "https://vault.azure.net"
	const audience = "https://reports.example"
	var (
		aws   = header{name: "Authorization", file: env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]}
		ec2   = env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] + "/latest"
		imds  = header{name: "X-aws-ec2-metadata-token", session: ec2 + "/api/token"}
		role  = filepath.Base(awsRole)
		gce   = "http://" + env["GCE_METADATA_HOST"] + "/computeMetadata/v1/instance/service-accounts/"
		node  = header{name: "Metadata-Flavor", words: "Google"}
		azure = header{name: "X-IDENTITY-HEADER", secret: env["IDENTITY_HEADER"]}
		vm    = header{name: "Metadata", words: "true"}
		// The identity is the default, or the one that is asked for.
		managed  = env["IDENTITY_ENDPOINT"] + "?api-version=2019-08-01&resource=" + url.QueryEscape(vault)
		instance = env["AZURE_POD_IDENTITY_AUTHORITY_HOST"] + "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + url.QueryEscape(arm)
		archive  = "&client_id=" + env["PLAYGROUND_ARCHIVE_AZURE_CLIENT_ID"]
		subjects = header{name: "Authorization", words: "Bearer ", file: env["PLAYGROUND_SUBJECT_TOKEN_SECRET_FILE"]}
		bearers  = header{name: "Authorization", words: "Bearer ", file: env["PLAYGROUND_BEARER_SECRET_FILE"]}
		bearer   = env["PLAYGROUND_BEARER_URL"]
	)
	list := []outlet{
		{"awsContainer", "", "aws", request{url: env["AWS_CONTAINER_CREDENTIALS_FULL_URI"], header: aws}, w.awsKey()},
		{"awsContainer", "", "aws-archive", request{url: env["PLAYGROUND_ARCHIVE_AWS_URI"], header: aws}, w.awsKey()},
		{"imds", "", "aws", request{url: ec2 + "/meta-data/iam/security-credentials/" + role, header: imds}, w.awsKey()},
		{"file", "credentials", "aws", reading(env["PLAYGROUND_AWS_CREDENTIALS_FILE"]), w.awsSettings()},
		{"file", "env", "aws", reading(env["PLAYGROUND_AWS_ENV_FILE"]), w.awsVariables()},
		{"file", "token", "aws-subject", reading(env["PLAYGROUND_WEB_IDENTITY_TOKEN_FILE"]), w.subjectToken(awsAudience)},

		{"gceMetadata", "", "google", request{url: gce + "default/token", header: node}, w.googleToken()},
		{"gceMetadata", "ID token", "google", request{url: gce + "default/identity?audience=" + audience, header: node}, idToken()},
		{"gceMetadata", "", "google-archive", request{url: gce + env["PLAYGROUND_ARCHIVE_GOOGLE_ACCOUNT"] + "/token", header: node}, w.googleToken()},
		{"bearer", "", "google", request{url: bearer + "/google", header: bearers}, w.googleToken()},
		{"file", "json", "google", reading(env["PLAYGROUND_GOOGLE_TOKEN_FILE"]), w.googleDocument()},
		{"file", "token", "google", reading(env["PLAYGROUND_GCLOUD_TOKEN_FILE"]), w.googleBare()},
		{"subjectToken", "", "google-subject", request{url: env["PLAYGROUND_SUBJECT_TOKEN_URL"], header: subjects}, w.subjectToken(googleAudience)},

		{"appService", "", "azure", request{url: managed, header: azure}, w.entraToken()},
		{"appService", "", "azure-archive", request{url: managed + archive, header: azure}, w.entraToken()},
		{"appService", "Cloud Shell", "azure", request{
			url: env["PLAYGROUND_CLOUD_SHELL_ENDPOINT"], header: vm, form: "resource=" + url.QueryEscape(arm),
		}, w.entraToken()},
		{"azureIMDS", "", "azure", request{url: instance, header: vm}, w.entraToken()},
		{"azureIMDS", "", "azure-archive", request{url: instance + archive, header: vm}, w.entraToken()},
		{"bearer", "", "azure", request{url: bearer + "/azure?resource=" + url.QueryEscape(vault), header: bearers}, w.entraBearer()},
	}
	if socket := env["PLAYGROUND_ADMIN_SOCKET"]; socket != "" {
		list = append(list, outlet{"admin", "", "aws", question{socket, "aws"}, w.awsDocument()})
	}
	return list
}

// name tells an outlet from the others of its kind.
func (o outlet) name() string {
	if o.form != "" {
		return o.kind + " (" + o.form + ")"
	}
	return o.kind
}
