package clients_test

import "slices"

// The clouds.
const (
	aws    = "AWS"
	google = "Google Cloud"
	azure  = "Azure"
)

// A client is a library or a tool of a cloud.
type client struct {
	name    string
	cloud   string
	from    string // the ecosystem that it is installed from
	pack    string // its name there
	program func(*installation, ...string) []string
	script  map[string]string // of a tool: what it is run with, by what the outlet is asked for
}

// The kinds of things that outlets are asked for.
const (
	keys        = "AWS keys"
	accessToken = "an access token"
	idToken     = "an ID token"
)

var clients = []client{
	{name: "AWS CLI", cloud: aws, from: pypi, pack: "awscli", script: map[string]string{
		keys: "aws sts get-caller-identity --query Arn --output text\naws configure list | grep access_key", // its end, that is
	}},
	{name: "boto3", cloud: aws, from: pypi, pack: "boto3", program: python("aws.py")},
	{name: "AWS SDK for Go 2", cloud: aws, from: modules, pack: "github.com/aws/aws-sdk-go-v2/config", program: goDriver("aws-sdk")},
	{name: "AWS SDK for JavaScript 3", cloud: aws, from: npm, pack: "@aws-sdk/credential-providers", program: node("aws.mjs")},
	{name: "AWS SDK for Java 2", cloud: aws, from: maven, pack: "software.amazon.awssdk:sts", program: java("Aws")},

	{name: "gcloud", cloud: google, from: apt, pack: "google-cloud-cli", script: map[string]string{
		// It does not look at GOOGLE_APPLICATION_CREDENTIALS.
		accessToken: `test -z "${GOOGLE_APPLICATION_CREDENTIALS:-}" || gcloud auth login --quiet --cred-file="$GOOGLE_APPLICATION_CREDENTIALS" >&2` + "\ngcloud auth print-access-token",
		idToken:     "gcloud auth print-identity-token --audiences=" + audience,
	}},
	{name: "google-auth for Python", cloud: google, from: pypi, pack: "google-auth", program: python("gcp.py")},
	{name: "cloud.google.com/go/auth", cloud: google, from: modules, pack: "cloud.google.com/go/auth", program: goDriver("auth")},
	{name: "compute/metadata for Go", cloud: google, from: modules, pack: "cloud.google.com/go/compute/metadata", program: goDriver("metadata")},
	{name: "x/oauth2 for Go", cloud: google, from: modules, pack: "golang.org/x/oauth2", program: goDriver("oauth2")},
	{name: "google-auth-library for Node.js", cloud: google, from: npm, pack: "google-auth-library", program: node("gcp.mjs")},
	{name: "google-auth-library for Java", cloud: google, from: maven, pack: "com.google.auth:google-auth-library-oauth2-http", program: java("Gcp")},

	{name: "azidentity for Go", cloud: azure, from: modules, pack: "github.com/Azure/azure-sdk-for-go/sdk/azidentity", program: goDriver("azidentity")},
	{name: "adal for Go", cloud: azure, from: modules, pack: "github.com/Azure/go-autorest/autorest/adal", program: goDriver("adal")},
	{name: "azure-identity for Python", cloud: azure, from: pypi, pack: "azure-identity", program: python("entra.py")},
	{name: "msal for Python", cloud: azure, from: pypi, pack: "msal", program: python("managed.py")},
	{name: "@azure/identity for Node.js", cloud: azure, from: npm, pack: "@azure/identity", program: node("entra.mjs")},
	{name: "azure-identity for Java", cloud: azure, from: maven, pack: "com.azure:azure-identity", program: java("Entra")},
}

// An outlet is one of wisp's, with the environment of a client of it.
type outlet struct {
	name  string
	cloud string
	gives string
	who   []string          // whom the cloud takes its clients for, by credential
	args  []string          // for the drivers
	env   map[string]string // with placeholders: see expand
	// kind and identity are what wisp env is asked for, whose answer has to have env; empty if nothing leads there.
	kind, identity string
	// wrong and missing are differences from env that make a client show a wrong secret, or none at all; nil if there is no
	// secret to show. An empty value removes the variable.
	wrong, missing map[string]string
	// fails are those that make the program fail which the client runs.
	fails map[string]string
}

var outlets = []outlet{
	{
		name: "awsContainer", kind: "awsContainer", identity: "aws-audit", cloud: aws, gives: keys, who: []string{awsSession},
		env: map[string]string{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI":     "http://{outlets}/aws/aws-audit",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{dir}/container.secret",
			"AWS_EC2_METADATA_DISABLED":              "true",
		},
		wrong:   map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{dir}/wrong.secret"},
		missing: map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": ""},
	},
	{
		name: awsFile, cloud: aws, gives: keys, who: []string{awsSession},
		env: map[string]string{
			"AWS_SHARED_CREDENTIALS_FILE": "{dir}/aws-credentials",
			"AWS_EC2_METADATA_DISABLED":   "true",
		},
	},
	{
		name: "imds", kind: "imds", identity: "aws-audit", cloud: aws, gives: keys, who: []string{awsSession},
		env: map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://{outlets}", "AWS_EC2_METADATA_V1_DISABLED": "true"},
	},
	{
		name: "wisp credential-process", cloud: aws, gives: keys, who: []string{awsSession},
		env:   map[string]string{"AWS_CONFIG_FILE": "{dir}/aws-process", "AWS_EC2_METADATA_DISABLED": "true"},
		fails: map[string]string{"AWS_CONFIG_FILE": "{dir}/aws-process-of-nobody"},
	},
	{
		name: awsConfig, cloud: aws, gives: keys, who: []string{awsSession},
		env: map[string]string{"AWS_CONFIG_FILE": "{dir}/aws-config", "AWS_EC2_METADATA_DISABLED": "true"},
	},
	{
		name: webIdentity, cloud: aws, gives: keys, who: []string{awsOwnSession},
		env: map[string]string{
			"AWS_WEB_IDENTITY_TOKEN_FILE": "{dir}/web-identity", "AWS_ROLE_ARN": "arn:aws:iam::" + awsAccount + ":role/reports",
			"AWS_ROLE_SESSION_NAME": "itself", "AWS_EC2_METADATA_DISABLED": "true",
		},
	},
	{
		name: "gceMetadata", kind: "gceMetadata", identity: "google-reports", cloud: google, gives: accessToken, who: []string{"serviceAccount:" + googleReports},
		env: metadataServer,
	},
	{
		name: "gceMetadata, ID token", cloud: google, gives: idToken, who: []string{byIDToken(googleReports, audience)},
		env: metadataServer, args: []string{audience},
	},
	{
		name: "subjectToken", cloud: google, gives: accessToken, who: []string{"serviceAccount:" + googleReports},
		env:     account(accountURL),
		wrong:   map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "{dir}/" + accountWrong},
		missing: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "{dir}/" + accountMissing},
	},
	{
		name: adcFile, cloud: google, gives: accessToken, who: []string{"serviceAccount:" + googleReports},
		env: account(accountFile),
	},
	{
		name: executable, cloud: google, gives: accessToken, who: []string{"serviceAccount:" + googleReports},
		env:   account(accountExecutable),
		fails: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "{dir}/" + accountOther},
	},
	{
		name: executableFile, cloud: google, gives: accessToken, who: []string{"serviceAccount:" + googleReports},
		env:   account(accountOutput),
		fails: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "{dir}/" + accountOtherOutput},
	},
	{
		name: tokenFile, cloud: google, gives: accessToken, who: []string{"serviceAccount:" + googleReports},
		env: map[string]string{"CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": "{dir}/google-token"},
	},
	{
		name: "appService", kind: "appService", identity: "azure-audit", cloud: azure, gives: accessToken, who: []string{byClient(entraReports, vault), byClient(entraAudit, vault)},
		args: []string{"default"},
		env: map[string]string{
			"IDENTITY_ENDPOINT": "http://{outlets}/msi/token", "IDENTITY_HEADER": "{app-service.secret}",
			"AZURE_CLIENT_ID": entraAudit,
		},
		wrong: map[string]string{"IDENTITY_HEADER": "wrong"},
	},
	{
		name: "appService, 2017-09-01", kind: "appService", identity: "azure-audit", cloud: azure, gives: accessToken, who: []string{byClient(entraReports, vault)},
		env:   map[string]string{"MSI_ENDPOINT": "http://{outlets}/msi/token", "MSI_SECRET": "{app-service.secret}"},
		wrong: map[string]string{"MSI_SECRET": "wrong"},
	},
	{
		name: "appService, cloudShell", cloud: azure, gives: accessToken, who: []string{byClient(entraReports, vault)},
		env: map[string]string{"MSI_ENDPOINT": "http://{outlets}/cloud-shell"},
	},
	{
		name: "azureIMDS", kind: "azureIMDS", identity: "azure-audit", cloud: azure, gives: accessToken, who: []string{byClient(entraReports, vault), byClient(entraAudit, vault)},
		args: []string{"default"},
		env: map[string]string{
			"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://{outlets}",
			"MSAL_MANAGED_IDENTITY_ENDPOINT":    "http://{outlets}/metadata/identity/oauth2/token",
			"AZURE_CLIENT_ID":                   entraAudit,
		},
	},
}

var metadataServer = map[string]string{
	"GCE_METADATA_HOST": "{outlets}", "GCE_METADATA_IP": "{outlets}", "GCE_METADATA_ROOT": "{outlets}",
	"GCE_METADATA_MTLS_MODE": "none", "GOOGLE_CLOUD_PROJECT": googleProject,
}

// The checks, one column each.
const (
	coldStart   = "cold start"
	firstUse    = "first use"
	renewal     = "renewal"
	outage      = "outage"
	wrongSecret = "wrong secret"
	noSecret    = "no secret"
	failure     = "failure"
)

var checks = []string{coldStart, firstUse, renewal, outage, wrongSecret, noSecret, failure}

// An exception is why something does not apply: to clients, at outlets, of checks. What is nil means any.
type exception struct {
	clients, outlets, checks []string
	because                  string
}

// exceptions are looked through in order; the first that fits gives the reason.
var exceptions = []exception{
	{clients: librariesOfGoogle, outlets: []string{tokenFile}, because: "no library reads a file with an access token"},
	{clients: []string{"adal for Go"}, outlets: []string{"appService"}, because: "does not know IDENTITY_ENDPOINT"},
	{clients: []string{"msal for Python"}, outlets: []string{"appService, cloudShell"}, because: "knows only the real Cloud Shell"},
	{
		clients: []string{"azure-identity for Java"}, outlets: []string{"appService, 2017-09-01"},
		because: "takes MSI_ENDPOINT for that of Cloud Shell, whether or not there is MSI_SECRET",
	},
	{
		clients: []string{"cloud.google.com/go/auth"}, outlets: []string{"gceMetadata, ID token"}, checks: []string{renewal, outage},
		because: "takes any ID token of a metadata server to live for an hour",
	},
	{clients: []string{"x/oauth2 for Go"}, outlets: []string{"gceMetadata, ID token"}, because: "has no ID tokens"},

	{
		clients: []string{"boto3", "AWS SDK for Go 2", "AWS SDK for JavaScript 3"}, outlets: []string{awsFile},
		checks: []string{coldStart, renewal, outage}, because: "reads the file once",
	},
	{
		clients: []string{"boto3", "AWS SDK for Go 2", "AWS SDK for JavaScript 3", "AWS SDK for Java 2"}, outlets: []string{awsFile},
		checks: []string{coldStart}, because: "looks for the file when it starts, and not again if it was not there",
	},
	{
		clients: []string{"boto3"}, outlets: []string{"imds"}, checks: []string{renewal, outage},
		because: "takes keys of IMDS to live for a quarter of an hour at least, whatever is said: those of this run do not",
	},
	{
		clients: []string{"compute/metadata for Go"}, outlets: []string{"subjectToken", adcFile, executable, executableFile},
		because: "has no credentials but those of a metadata server",
	},
	{
		outlets: []string{webIdentity, "subjectToken", adcFile, executable, executableFile}, checks: []string{outage},
		because: "the client itself asks the cloud, and wisp only has its token",
	},
	{
		outlets: []string{"wisp credential-process", awsConfig, executable, executableFile}, checks: secretChecks,
		because: "a program has no secret: it asks by a socket that only its own user can open",
	},
	{outlets: []string{awsConfig}, checks: []string{failure}, because: "is the same program, in a profile that wisp writes"},
	{
		outlets: []string{
			"awsContainer", awsFile, "imds", webIdentity, "gceMetadata", "gceMetadata, ID token", "subjectToken", adcFile, tokenFile,
			"appService", "appService, 2017-09-01", "appService, cloudShell", "azureIMDS",
		},
		checks: []string{failure}, because: "the client runs no program",
	},
	{outlets: []string{awsFile, webIdentity, adcFile, tokenFile}, checks: secretChecks, because: "a file has no secret: its permissions guard it"},
	{
		outlets: []string{"imds", "gceMetadata", "gceMetadata, ID token", "azureIMDS", "appService, cloudShell"}, checks: secretChecks,
		because: "has no secret, only a header that clients always send",
	},
	{
		outlets: []string{"appService", "appService, 2017-09-01"}, checks: []string{noSecret},
		because: "it is by the secret's variable that clients know App Service",
	},
}

var (
	secretChecks      = []string{wrongSecret, noSecret}
	librariesOfGoogle = []string{
		"google-auth for Python", "cloud.google.com/go/auth", "compute/metadata for Go", "x/oauth2 for Go",
		"google-auth-library for Node.js", "google-auth-library for Java",
	}
)

const (
	awsFile   = "file: awsSharedCredentials"
	awsConfig = "file: awsConfig"
	tokenFile = "file: token"

	webIdentity    = "file: token, web identity"
	adcFile        = "wisp adc, file"
	executable     = "wisp executable"
	executableFile = "wisp executable, output_file"
)

// reason is why a check of a client at an outlet does not apply; empty if it does. The empty check is all of them.
func reason(client, outlet, check string) string {
	fits := func(list []string, name string) bool { return list == nil || slices.Contains(list, name) }
	for _, e := range exceptions {
		if fits(e.clients, client) && fits(e.outlets, outlet) && fits(e.checks, check) {
			return e.because
		}
	}
	return ""
}
