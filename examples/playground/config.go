package main

import (
	"bytes"
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
	volumeDir   = "volume"
	secretsDir  = "secrets"
	awsSecret   = secretsDir + "/aws-container"
	azureSecret = secretsDir + "/app-service"
	outDir      = "out"
	pairsDir    = "pairs"
	pairsFile   = pairsDir + "/config.yaml"
	awsOut      = outDir + "/aws-credentials"
	googleOut   = outDir + "/google-token.json"
)

// Where wisp's outlets are on their common address.
const (
	awsContainerPath = "/aws/reports"
	appServicePath   = "/msi/token"
	azureIMDSPath    = "/metadata/identity/oauth2/token"
)

// floor is wisp's floor for these short lives. The usual ones, 6 and 15 minutes, are longer than they are.
const floor = 10 * time.Second

// configTemplate is what a Pod's configuration looks like, but for what its comments say.
var configTemplate = template.Must(template.New(configFile).Option("missingkey=error").Funcs(template.FuncMap{"yaml": quoteYAML}).Parse(`# The configuration of the playground's wisp. With real clouds there is no upstream, endpoint, tokenUrl,
# impersonationUrl and authorityHost, which lead to the fakes, and no floor, which suits their short-lived
# credentials.
upstream: {allowInsecureLoopback: true}
health: {listen: {{yaml .Probes}}}

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

outlets:
  - identity: aws
    awsContainer: {listen: {{yaml .Outlets}}, path: {{yaml .AWSPath}}, secretFile: {{yaml .AWSSecret}}}
  - identity: aws
    file: {path: {{yaml .AWSFile}}, format: awsSharedCredentials}
  - identity: google
    gceMetadata: {listen: {{yaml .Outlets}}, zone: europe-west1-b}
  - identity: google
    file: {path: {{yaml .GoogleFile}}, format: json}
  - identity: azure
    azureIMDS: {listen: {{yaml .Outlets}}}
  - identity: azure
    appService: {listen: {{yaml .Outlets}}, path: {{yaml .AppService}}, secretFile: {{yaml .AzureSecret}}}
`))

// config writes the configuration of a wisp between the workload in dir and the clouds of at.
func config(dir directory, at *listeners) ([]byte, error) {
	var text bytes.Buffer
	err := configTemplate.Execute(&text, map[string]any{
		"Floor":  floor,
		"Probes": at.address(atProbes), "Outlets": at.address(atOutlets),
		"AWS": at.url(atAWS), "Google": at.url(atGoogle), "Entra": at.url(atEntra),
		"AWSToken": dir.token(tokens[0]), "GoogleToken": dir.token(tokens[1]), "AzureToken": dir.token(tokens[2]),
		"Role": awsRole, "Region": awsRegion,
		"Provider": "//iam.googleapis.com/" + googleProvider, "Account": googleAccount,
		"Tenant": entraTenant, "Client": entraClient,
		"AWSPath": awsContainerPath, "AWSSecret": dir.file(awsSecret), "AWSFile": dir.file(awsOut),
		"GoogleFile": dir.file(googleOut),
		"AppService": appServicePath, "AzureSecret": dir.file(azureSecret),
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
