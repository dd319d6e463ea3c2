package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
)

// An Environment is what detection may look at.
type Environment struct {
	Get      func(name string) string // os.Getenv
	ReadFile func(path string) ([]byte, error)
}

// ProcessEnvironment is the environment of this process.
func ProcessEnvironment() Environment { return Environment{Get: os.Getenv, ReadFile: os.ReadFile} }

// A Finding is an identity that the environment describes.
type Finding struct {
	Cloud string // "AWS"
	From  string // the variables it was found in
	What  string // "role arn:…"
}

// Detect makes a configuration out of what the environment already says, in the clouds' own
// variables: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE as EKS sets them for IAM roles for service
// accounts, the AZURE_* of AKS workload identity, and an external_account file in
// GOOGLE_APPLICATION_CREDENTIALS. Each identity gets the outlet that needs least of its clients, all
// on 127.0.0.1:9911. Half a description is a [*ConfigError]: to go on without it would be guessing.
func Detect(env Environment) (*Config, []Finding, error) {
	d := &detection{env: env, problems: problems{lines: map[string]int{}}, config: &Config{name: "environment"}}
	d.aws()
	d.entra()
	d.google()
	if len(d.findings) == 0 && len(d.problems.list) == 0 {
		d.problems.add(0, "", "describes no identity: set AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, "+
			"or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE, "+
			"or GOOGLE_APPLICATION_CREDENTIALS with an external_account file, or give a file with --config")
	}
	if len(d.problems.list) == 0 {
		d.config.check(&d.problems)
	}
	if err := d.problems.err(d.config.name); err != nil {
		return nil, d.findings, err
	}
	return d.config, d.findings, nil
}

type detection struct {
	env      Environment
	problems problems
	config   *Config
	findings []Finding
}

// first returns the first variable that is set.
func (d *detection) first(names ...string) string {
	for _, name := range names {
		if value := d.env.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// all reports whether the variables describe something. Some without the others are a problem, unless
// only those are set that mean nothing by themselves.
func (d *detection) all(names []string, enough ...string) bool {
	var missing []string
	telling := false
	for _, name := range names {
		if d.env.Get(name) == "" {
			missing = append(missing, name)
		}
	}
	for _, name := range enough {
		telling = telling || d.env.Get(name) != ""
	}
	if len(missing) == 0 {
		return true
	}
	if telling {
		d.problems.add(0, "", "%s is set, but not %s", strings.Join(set(d.env, enough), " and "), strings.Join(missing, " and "))
	}
	return false
}

func set(env Environment, names []string) []string {
	var list []string
	for _, name := range names {
		if env.Get(name) != "" {
			list = append(list, name)
		}
	}
	return list
}

func (d *detection) add(identity IdentityConfig, outlet outletChoice, finding Finding) {
	d.config.Identities = append(d.config.Identities, identity)
	d.config.Outlets = append(d.config.Outlets, OutletConfig{Identity: identity.Name, Outlet: outlet})
	d.findings = append(d.findings, finding)
}

func (d *detection) aws() {
	names := []string{"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"}
	if !d.all(names, names...) {
		return
	}
	exchange := &awsExchange{
		RoleARN:     d.env.Get("AWS_ROLE_ARN"),
		Region:      d.first("AWS_REGION", "AWS_DEFAULT_REGION"),
		SessionName: d.env.Get("AWS_ROLE_SESSION_NAME"),
		Legacy:      d.env.Get("AWS_STS_REGIONAL_ENDPOINTS") == "legacy",
		FIPS:        strings.EqualFold(d.env.Get("AWS_USE_FIPS_ENDPOINT"), "true"),
		DualStack:   strings.EqualFold(d.env.Get("AWS_USE_DUALSTACK_ENDPOINT"), "true"),
	}
	if !strings.EqualFold(d.env.Get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		exchange.Endpoint = d.first("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL")
	}
	if exchange.Region == "" && exchange.Endpoint == "" {
		d.problems.add(0, "", "%s are set, but not AWS_REGION, which says whose STS to ask", strings.Join(names, " and "))
	}
	if bundle := d.env.Get("AWS_CA_BUNDLE"); bundle != "" {
		d.config.Upstream.CAFile = bundle
	}
	token := d.env.Get("AWS_WEB_IDENTITY_TOKEN_FILE")
	d.add(
		IdentityConfig{Name: "aws", Source: fromFile(token, ""), Exchange: exchangeOf("aws", exchange)},
		outletOf("awsContainer", &awsContainerOutlet{}),
		Finding{"AWS", "AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE", fmt.Sprintf("role %s, token %s", exchange.RoleARN, token)},
	)
}

func (d *detection) entra() {
	// AZURE_CLIENT_ID and AZURE_TENANT_ID alone belong to other ways of signing in, too.
	names := []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"}
	if !d.all(names, "AZURE_FEDERATED_TOKEN_FILE") {
		return
	}
	exchange := &entraExchange{
		ClientID:      d.env.Get("AZURE_CLIENT_ID"),
		TenantID:      d.env.Get("AZURE_TENANT_ID"),
		AuthorityHost: d.env.Get("AZURE_AUTHORITY_HOST"),
	}
	outlet := &appServiceOutlet{SecretFile: d.secretFile("azure")}
	if d.env.Get("IDENTITY_HEADER") != "" {
		outlet.SecretFile, outlet.SecretEnv = "", "IDENTITY_HEADER"
	}
	token := d.env.Get("AZURE_FEDERATED_TOKEN_FILE")
	d.add(
		IdentityConfig{Name: "azure", Source: fromFile(token, ""), Exchange: exchangeOf("entra", exchange)},
		outletOf("appService", outlet),
		Finding{"Entra", strings.Join(names, ", "), fmt.Sprintf("client %s of tenant %s, token %s", exchange.ClientID, exchange.TenantID, token)},
	)
}

func (d *detection) google() {
	const variable = "GOOGLE_APPLICATION_CREDENTIALS"
	path := d.env.Get(variable)
	if path == "" {
		return
	}
	document, err := d.env.ReadFile(path)
	if err != nil {
		d.problems.add(0, variable, "cannot be read: %v", err)
		return
	}
	options, file, list := googlests.FromExternalAccount(document)
	for _, problem := range list {
		d.problems.add(0, variable+" ("+path+")", "%v", problem)
	}
	if len(list) > 0 {
		return
	}
	exchange := &googleExchange{
		Audience: options.Audience, ServiceAccount: options.ServiceAccount, Lifetime: options.Lifetime,
		Scopes: options.Scopes, QuotaProject: options.QuotaProject, SubjectTokenType: options.SubjectTokenType,
		UniverseDomain: options.UniverseDomain, TokenURL: options.TokenURL, ImpersonationURL: options.ImpersonationURL,
	}
	from := fromFile(absolute(file.Path), file.Field)
	if options.SubjectTokenType == refresher.TypeSAML2 {
		from.Options.(*fileSource).Type = "saml2"
	}
	outlet := &gceMetadataOutlet{ProjectID: d.first("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")}
	d.add(
		IdentityConfig{Name: "google", Source: from, Exchange: exchangeOf("google", exchange)},
		outletOf("gceMetadata", outlet),
		Finding{"Google", variable, fmt.Sprintf("provider %s, token %s", options.Audience, file.Path)},
	)
}

// absolute is how the libraries read a relative path in an external_account file: from the working
// directory.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// secretFile is where an outlet's secret is kept when nobody says where.
func (d *detection) secretFile(name string) string {
	dir := "/run/wisp"
	if user := d.env.Get("XDG_RUNTIME_DIR"); user != "" {
		dir = filepath.Join(user, "wisp")
	}
	return filepath.Join(dir, "secrets", name)
}

func fromFile(path, field string) sourceChoice {
	file := &fileSource{Path: path, Field: field}
	if field != "" {
		file.Format = "json"
	}
	return sourceChoice{oneOf[sourceOptions]{"file", file}}
}

func exchangeOf(kind string, o exchangeOptions) exchangeChoice {
	return exchangeChoice{oneOf[exchangeOptions]{kind, o}}
}

func outletOf(kind string, o outletOptions) outletChoice {
	return outletChoice{oneOf[outletOptions]{kind, o}}
}
