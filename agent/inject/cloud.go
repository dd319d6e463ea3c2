package inject

// A cloud is one of the three that a Pod can have an identity of.
type cloud int

const (
	aws cloud = iota
	google
	entra
)

// clouds say what is particular to each.
var clouds = [...]struct {
	name string // for people
	path string // of its token in the token volume; the identity that wisp makes of it has this name, too
	// bypass is the variable with which the cloud's SDKs do the exchange themselves, and remedy what to say of it.
	bypass, remedy string
	// others are the other variables that clients believe before what leads to wisp.
	others []string
}{
	aws: {
		name: "AWS", path: "aws", bypass: "AWS_WEB_IDENTITY_TOKEN_FILE",
		remedy: "with which SDKs pass wisp by: if the webhook of EKS has set it, annotate the Pod with eks.amazonaws.com/skip-containers " +
			"or the ServiceAccount with " + Prefix + "aws-role-arn in place of eks.amazonaws.com/role-arn",
		others: []string{
			"AWS_PROFILE", "AWS_DEFAULT_PROFILE",
			"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
			"AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_FILE",
			"AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
			"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
		},
	},
	google: {
		name: "Google", path: "google", bypass: "GOOGLE_APPLICATION_CREDENTIALS",
		remedy: "with which libraries pass wisp by: remove it",
		others: []string{
			"GOOGLE_CLOUD_UNIVERSE_DOMAIN", "NO_GCE_CHECK", "METADATA_SERVER_DETECTION",
			"CLOUDSDK_AUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
			"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT", "CLOUDSDK_CORE_ACCOUNT", "CLOUDSDK_CORE_CHECK_GCE_METADATA",
			"CLOUDSDK_CORE_UNIVERSE_DOMAIN",
		},
	},
	entra: {
		name: "Entra", path: "azure", bypass: "AZURE_FEDERATED_TOKEN_FILE",
		remedy: "with which SDKs pass wisp by: if the webhook of AKS has set it, remove the Pod's label azure.workload.identity/use",
		others: []string{
			"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME", "AZURE_PASSWORD", "AZURE_TOKEN_CREDENTIALS",
			"IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT", "DEFAULT_IDENTITY_CLIENT_ID",
		},
	},
}

// An outlet is one that injection can ask for.
type outlet struct {
	name   string
	cloud  cloud
	secret bool // its clients have to show one
	usual  bool // it is what a Pod gets that has an identity of the cloud and does not choose
}

var outlets = []outlet{
	{name: "awsContainer", cloud: aws, secret: true, usual: true},
	{name: "imds", cloud: aws},
	{name: "gceMetadata", cloud: google, usual: true},
	{name: "appService", cloud: entra, secret: true, usual: true},
	{name: "azureIMDS", cloud: entra},
}
