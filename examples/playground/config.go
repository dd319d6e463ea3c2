package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"text/template"
	"time"
)

// What is in the playground's directory, besides its gcloud, aws and azure, which keep the clients'
// own settings out of the way.
const (
	configFile  = "config.yaml"
	envFile     = "env.sh"
	adcFile     = "adc.json" // for Google's libraries, to do the exchange themselves
	adminSocket = "admin.sock"
	volumeDir   = "volume"
	pairsDir    = "pairs"
	pairsFile   = pairsDir + "/config.yaml"

	secretsDir       = "secrets" // what outlets demand; wisp makes them
	awsSecret        = secretsDir + "/aws-container"
	azureSecret      = secretsDir + "/app-service"
	cloudShellSecret = secretsDir + "/cloud-shell"
	subjectSecret    = secretsDir + "/subject-token"
	bearerSecret     = secretsDir + "/bearer"

	outDir      = "out" // what file outlets write
	awsOut      = outDir + "/aws-credentials"
	awsEnvOut   = outDir + "/aws.env"
	awsTokenOut = outDir + "/web-identity-token"
	googleOut   = outDir + "/google-token.json"
	gcloudOut   = outDir + "/gcloud-access-token"
)

var outFiles = []string{awsOut, awsEnvOut, awsTokenOut, googleOut, gcloudOut}

// Where wisp's outlets are on their common address.
const (
	appServicePath = "/msi/token"
	cloudShellPath = "/cloud-shell/token"
	subjectPath    = "/subject/google"
)

// floor is wisp's floor for these short lives. The usual ones, 6 and 15 minutes, are longer than they are.
const floor = 10 * time.Second

// configTemplate is what a Pod's configuration looks like, but for what its comments say. It has every kind
// of outlet. Of the formats of files awsConfig is not here: it names the program that writes it as the one
// to run for credentials, and that is the playground, not wisp.
var configTemplate = template.Must(template.New(configFile).Option("missingkey=error").Funcs(template.FuncMap{"yaml": quoteYAML}).Parse(`# The configuration of the playground's wisp. With real clouds there is no upstream, endpoint, tokenUrl,
# impersonationUrl and authorityHost, which lead to the fakes, and no floor, which suits their short-lived
# credentials.
upstream: {allowInsecureLoopback: true}
health: {listen: {{yaml .Probes}}}
admin: {socket: {{yaml .Socket}}}

identities:
  - name: aws
    floor: {{.Floor}}
    source: {file: {path: {{yaml .AWSToken}}}}
    exchange:
      aws:
        roleArn: {{yaml .Role}}
        region: {{yaml .Region}}
        endpoint: {{yaml .AWS}}

  - name: google
    floor: {{.Floor}}
    source: {file: {path: {{yaml .GoogleToken}}}}
    exchange:
      google:
        audience: {{yaml .Provider}}
        serviceAccount: {{yaml .Account}}
        tokenUrl: {{yaml (print .Google "/v1/token")}}
        impersonationUrl: {{yaml .Google}}

  - name: azure
    floor: {{.Floor}}
    source: {file: {path: {{yaml .AzureToken}}}}
    exchange:
      entra:
        tenantId: {{yaml .Tenant}}
        clientId: {{yaml .Client}}
        authorityHost: {{yaml .Entra}}

  # The same workload as somebody else: a second role, account and application.
  - name: aws-archive
    floor: {{.Floor}}
    source: {file: {path: {{yaml .AWSToken}}}}
    exchange:
      aws:
        roleArn: {{yaml .ArchiveRole}}
        region: {{yaml .Region}}
        endpoint: {{yaml .AWS}}

  - name: google-archive
    floor: {{.Floor}}
    source: {file: {path: {{yaml .GoogleToken}}}}
    exchange:
      google:
        audience: {{yaml .Provider}}
        serviceAccount: {{yaml .ArchiveAccount}}
        tokenUrl: {{yaml (print .Google "/v1/token")}}
        impersonationUrl: {{yaml .Google}}

  - name: azure-archive
    floor: {{.Floor}}
    source: {file: {path: {{yaml .AzureToken}}}}
    exchange:
      entra:
        tenantId: {{yaml .Tenant}}
        clientId: {{yaml .ArchiveClient}}
        authorityHost: {{yaml .Entra}}

  # The tokens themselves, for clients that do the exchange on their own.
  - name: aws-subject
    source: {file: {path: {{yaml .AWSToken}}}}
    exchange: {subject: {}}

  - name: google-subject
    source: {file: {path: {{yaml .GoogleToken}}}}
    exchange: {subject: {}}

outlets:
  - identities: [aws, aws-archive]
    awsContainer: {listen: {{yaml .Outlets}}, secretFile: {{yaml .AWSSecret}}}
  - identity: aws
    imds: {listen: {{yaml .Outlets}}, instanceId: i-0123456789abcdef0}
  - identities: [google, google-archive]
    gceMetadata: {listen: {{yaml .Outlets}}, zone: europe-west1-b}
  - identities: [azure, azure-archive]
    azureIMDS: {listen: {{yaml .Outlets}}}
  - identities: [azure, azure-archive]
    appService: {listen: {{yaml .Outlets}}, path: {{yaml .AppService}}, secretFile: {{yaml .AzureSecret}}}
  # Cloud Shell's form needs no secret. So it has a path of its own, and the other one stays guarded.
  - identity: azure
    appService: {listen: {{yaml .Outlets}}, path: {{yaml .CloudShell}}, secretFile: {{yaml .CloudShellSecret}}, cloudShell: true}
  - identity: google-subject
    subjectToken: {listen: {{yaml .Outlets}}, path: {{yaml .SubjectPath}}, secretFile: {{yaml .SubjectSecret}}}
  - identities: [google, azure]
    bearer: {listen: {{yaml .Outlets}}, secretFile: {{yaml .BearerSecret}}}
  - identity: aws
    file: {path: {{yaml .AWSFile}}, format: awsSharedCredentials}
  - identity: aws
    file: {path: {{yaml .AWSEnvFile}}, format: env}
  - identity: aws-subject
    file: {path: {{yaml .AWSTokenFile}}, format: token}
  - identity: google
    file: {path: {{yaml .GoogleFile}}, format: json}
  - identity: google
    file: {path: {{yaml .GcloudFile}}, format: token}
`))

// config writes the configuration of a wisp between the workload in dir and the clouds of at.
func config(dir directory, at *listeners) ([]byte, error) {
	var text bytes.Buffer
	err := configTemplate.Execute(&text, map[string]any{
		"Floor":  floor,
		"Probes": at.address(atProbes), "Outlets": at.address(atOutlets), "Socket": cmp.Or(dir.socket(), "off"),
		"AWS": at.url(atAWS), "Google": at.url(atGoogle), "Entra": at.url(atEntra),
		"AWSToken": dir.token(tokens[0]), "GoogleToken": dir.token(tokens[1]), "AzureToken": dir.token(tokens[2]),
		"Role": awsRole, "ArchiveRole": awsArchive, "Region": awsRegion,
		"Provider": "//iam.googleapis.com/" + googleProvider, "Account": googleAccount, "ArchiveAccount": googleArchive,
		"Tenant": entraTenant, "Client": entraClient, "ArchiveClient": entraArchive,
		"AppService": appServicePath, "CloudShell": cloudShellPath, "SubjectPath": subjectPath,
		"AWSSecret": dir.file(awsSecret), "AzureSecret": dir.file(azureSecret), "CloudShellSecret": dir.file(cloudShellSecret),
		"SubjectSecret": dir.file(subjectSecret), "BearerSecret": dir.file(bearerSecret),
		"AWSFile": dir.file(awsOut), "AWSEnvFile": dir.file(awsEnvOut), "AWSTokenFile": dir.file(awsTokenOut),
		"GoogleFile": dir.file(googleOut), "GcloudFile": dir.file(gcloudOut),
	})
	return text.Bytes(), err
}

// quoteYAML quotes a string as JSON does, which YAML understands: a path may have any character.
func quoteYAML(text string) (string, error) {
	var line strings.Builder
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(text)
	return strings.TrimSuffix(line.String(), "\n"), err
}
