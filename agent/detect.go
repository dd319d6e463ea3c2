package agent

import (
	"cmp"
	"fmt"
	"os"
	"strings"
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
	Name   string // "IRSA"
	From   string // the variables it was found in
	What   string // "role arn:…, token /var/run/…"
	Outlet string // "awsContainer at http://127.0.0.1:9911/aws/aws"; several are joined by ", "
}

// String reads "IRSA in AWS_ROLE_ARN, …: role arn:…, token /var/run/…; outlet awsContainer at …".
func (f Finding) String() string {
	return fmt.Sprintf("%s in %s: %s; outlet %s", f.Name, f.From, f.What, f.Outlet)
}

// Detect makes a configuration out of what the environment already says. Who the workload is to be comes
// from the clouds' own variables: AWS_ROLE_ARN; AZURE_CLIENT_ID and AZURE_TENANT_ID; an external_account
// file in GOOGLE_APPLICATION_CREDENTIALS; and from WISP_GOOGLE_AUDIENCE and WISP_OAUTH_TOKEN_URL where
// nobody else has a word for it. How it proves that is in the variables of EKS, AKS and GitHub Actions, or
// in WISP_SOURCE: see [detection.proof].
//
// Each identity gets the outlet that needs least of its clients, all on 127.0.0.1:9911, unless
// WISP_OUTLETS, WISP_PORT or WISP_LINK_LOCAL say otherwise. Half a description is a [*ConfigError], and so
// are two that contradict each other: to go on would be guessing.
func Detect(env Environment) (*Config, []Finding, error) {
	d := &detection{env: env, problems: problems{lines: map[string]int{}, unread: map[string]bool{}}, config: &Config{name: "environment"}}
	d.aws()
	d.entra()
	d.google()
	d.oauth()
	if len(d.findings) == 0 && len(d.problems.list) == 0 {
		d.problems.add(0, "", "describes no identity: set AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, "+
			"or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE, "+
			"or GOOGLE_APPLICATION_CREDENTIALS with an external_account file, or give a file with --config")
	}
	d.incomplete = len(d.problems.list) > 0
	d.config.complete(&d.problems, env.Get)
	d.outlets()
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
	findings []Finding // of config.Identities, in their order
	usual    []string  // the kinds of outlets that these have if nobody says otherwise; empty: none
	// incomplete says that what describes identities is wrong already, so that one may be missing for that.
	incomplete bool
}

func (d *detection) problem(format string, args ...any) { d.problems.add(0, "", format, args...) }

// first returns the first variable that is set.
func (d *detection) first(names ...string) string {
	for _, name := range names {
		if value := d.env.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// split divides names into those that are set and those that are not.
func (d *detection) split(names ...string) (set, missing []string) {
	for _, name := range names {
		if d.env.Get(name) != "" {
			set = append(set, name)
		} else {
			missing = append(missing, name)
		}
	}
	return set, missing
}

// add takes over an identity, and the kind of outlet that it has if nobody says otherwise.
func (d *detection) add(identity IdentityConfig, outlet string, finding Finding) {
	d.config.Identities = append(d.config.Identities, identity)
	d.usual = append(d.usual, outlet)
	d.findings = append(d.findings, finding)
}

func (d *detection) aws() {
	const role, file = "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"
	if d.env.Get(role) == "" {
		if d.env.Get(file) != "" {
			d.problem("%s is set, but not %s", file, role)
		}
		return
	}
	proof, ok := d.proof(role, file, "")
	if !ok {
		return
	}
	exchange := &awsExchange{
		RoleARN:     d.env.Get(role),
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
		d.problem("%s are set, but not AWS_REGION, which says whose STS to ask", strings.Join(append([]string{role}, proof.variables...), " and "))
	}
	if bundle := d.env.Get("AWS_CA_BUNDLE"); bundle != "" {
		d.config.Upstream.CAFile = bundle
	}
	d.add(
		IdentityConfig{Name: "aws", Source: proof.source, Exchange: exchangeOf("aws", exchange)},
		"awsContainer",
		proof.finding("IRSA", "AWS", role).of("role %s", exchange.RoleARN),
	)
}

func (d *detection) entra() {
	const file = "AZURE_FEDERATED_TOKEN_FILE"
	// Client and tenant alone belong to other ways of signing in, too.
	names, missing := d.split("AZURE_CLIENT_ID", "AZURE_TENANT_ID")
	if others, _ := d.split("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME"); d.env.Get(file) == "" && (len(missing) > 0 || len(others) > 0 || !d.proven()) {
		return
	}
	if len(missing) > 0 {
		d.problem("%s is set, but not %s", file, strings.Join(missing, " and "))
		return
	}
	proof, ok := d.proof("AZURE_CLIENT_ID", file, "")
	if !ok {
		return
	}
	exchange := &entraExchange{
		ClientID:      d.env.Get("AZURE_CLIENT_ID"),
		TenantID:      d.env.Get("AZURE_TENANT_ID"),
		AuthorityHost: d.env.Get("AZURE_AUTHORITY_HOST"),
	}
	d.add(
		IdentityConfig{Name: "azure", Source: proof.source, Exchange: exchangeOf("entra", exchange)},
		"appService",
		proof.finding("AKS workload identity", "Entra", names...).of("client %s of tenant %s", exchange.ClientID, exchange.TenantID),
	)
}

func (d *detection) google() {
	const document, audience = "GOOGLE_APPLICATION_CREDENTIALS", "WISP_GOOGLE_AUDIENCE"
	const outlet = "gceMetadata"
	switch both, _ := d.split(document, audience); {
	case len(both) == 2:
		d.problem("both %s and %s describe a Google identity: unset one of them", document, audience)
	case d.env.Get(document) != "":
		d.externalAccount(document, outlet)
	case d.env.Get(audience) != "":
		proof, ok := d.proof(audience, "WISP_GOOGLE_TOKEN_FILE", "")
		if !ok {
			return
		}
		exchange := &googleExchange{
			Audience:       d.env.Get(audience),
			ServiceAccount: d.env.Get("WISP_GOOGLE_SERVICE_ACCOUNT"),
			QuotaProject:   d.env.Get("GOOGLE_CLOUD_QUOTA_PROJECT"),
		}
		d.add(
			IdentityConfig{Name: "google", Source: proof.source, Exchange: exchangeOf("google", exchange)}, outlet,
			proof.finding("workload identity federation", "Google", audience).of("provider %s, %s", exchange.Audience, cmp.Or(exchange.ServiceAccount, "no service account")),
		)
	}
}

// externalAccount takes over the file that tells client libraries everything.
func (d *detection) externalAccount(variable, outlet string) {
	path := d.env.Get(variable)
	document, err := d.env.ReadFile(path)
	if err != nil {
		d.problems.add(0, variable, "cannot be read: %v", err)
		return
	}
	source, exchange, list := fromExternalAccount(document, d.env.Get("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES") == "1")
	for _, problem := range list {
		d.problems.add(0, variable+" ("+path+")", "%v", problem)
	}
	if len(list) > 0 {
		return
	}
	d.add(
		IdentityConfig{Name: "google", Source: source, Exchange: exchange}, outlet,
		Finding{Name: "an external_account file", From: variable, What: fmt.Sprintf("provider %s, token from %s", exchange.Options.(*googleExchange).Audience, describeSource(source))},
	)
}

func (d *detection) oauth() {
	const url = "WISP_OAUTH_TOKEN_URL"
	if d.env.Get(url) == "" {
		return
	}
	proof, ok := d.proof(url, "WISP_OAUTH_TOKEN_FILE", d.env.Get("WISP_OAUTH_SUBJECT_AUDIENCE"))
	if !ok {
		return
	}
	exchange := &oauthExchange{
		TokenURL:         d.env.Get(url),
		Audience:         strings.Fields(d.env.Get("WISP_OAUTH_AUDIENCE")),
		Scopes:           strings.Fields(d.env.Get("WISP_OAUTH_SCOPE")),
		ClientID:         d.env.Get("WISP_OAUTH_CLIENT_ID"),
		ClientSecretFile: d.env.Get("WISP_OAUTH_CLIENT_SECRET_FILE"),
		PrivateKeyFile:   d.env.Get("WISP_OAUTH_PRIVATE_KEY_FILE"),
	}
	d.add(
		IdentityConfig{Name: "oauth", Source: proof.source, Exchange: exchangeOf("oauthSTS", exchange)}, "",
		proof.finding("a token service", "OAuth", url).of("token service %s", exchange.TokenURL),
	)
	if path := d.env.Get("WISP_OAUTH_OUTPUT_FILE"); path != "" {
		d.append(outletOf("file", &fileOutlet{Path: path, Format: "json"}), len(d.findings)-1)
	}
}
