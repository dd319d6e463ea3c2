package pairs

import (
	"fmt"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A Pair is a source and the exchange of one cloud.
type Pair struct {
	Name   string // "github-aws"; also that of the identity whose credential counts
	Source string // kind of the source, and for a chain what it is built on: "identity (google)"
	Cloud  string // kind of the exchange
	// Identities are the items of the document's list: the pair's own, and before it those that it is
	// built on. They are in block style, indented by two.
	Identities string
	// Whom is whom the cloud takes the credential for.
	Whom string
	// Check asks the cloud whom a credential stands for; an error if it is not accepted.
	Check func(refresher.Credential) (string, error)
}

// Document is a configuration with the identities of all pairs. Those that several are built on are
// there once.
func Document(all ...Pair) string {
	const item = "  - name: "
	document := "upstream: {allowInsecureLoopback: true}\nidentities:\n"
	for _, pair := range all {
		for _, identity := range strings.Split(pair.Identities, item)[1:] {
			if !strings.Contains(document, item+identity) {
				document += item + identity
			}
		}
	}
	return document
}

// source is one line of YAML for each cloud that takes it.
type source struct {
	name  string // of the pair
	kind  string
	by    string // who vouches for the workload: the name of the provider, and of the role
	yaml  string // of the source; %s is the cloud's name, as the token files are called
	under string // identities that the source is built on
}

// Pairs are all that make sense. What the documents name has to exist: see [World.Environ].
func (w *World) Pairs() []Pair {
	var list []Pair
	for _, s := range w.kubernetes() {
		for _, cloud := range []string{"aws", "google", "entra", "oauthSTS"} {
			list = append(list, w.pair(s, cloud))
		}
	}
	for _, s := range w.others() {
		for _, cloud := range s.clouds {
			list = append(list, w.pair(s.source, cloud))
		}
	}
	return list
}

// kubernetes are the sources that a projected token comes through, and GitHub: what each cloud takes.
func (w *World) kubernetes() []source {
	return []source{
		{name: "file", kind: "file", by: "kubernetes", yaml: fmt.Sprintf("file: {path: %q}", w.file("tokens", "%s"))},
		{name: "url", kind: "url", by: "kubernetes", yaml: fmt.Sprintf(
			`url: {url: "%s/kubernetes/token?audience=%%[2]s", headers: {Authorization: "Bearer %s"}, format: json, field: token}`, w.o.URL, urlSecret)},
		{name: "executable", kind: "executable", by: "kubernetes", yaml: fmt.Sprintf(
			"executable: {command: [%q, %q], audience: %%[3]q}", w.program(), w.file("tokens", "%s"))},
		{name: "github", kind: "githubActions", by: "github", yaml: "githubActions: {audience: %[3]q}"},
	}
}

type otherSource struct {
	source
	clouds []string
}

// others are the sources that only some clouds take.
func (w *World) others() []otherSource {
	endpoint := w.o.URL
	instance := fmt.Sprintf("credentials: instance, regionUrl: %q, credentialsUrl: %q, sessionTokenUrl: %q",
		endpoint+"/latest/meta-data/placement/availability-zone", endpoint+"/latest/meta-data/iam/security-credentials", endpoint+"/latest/api/token")
	saml := func(cloud string) source {
		return source{name: "saml", kind: "file (SAML)", by: "saml", yaml: fmt.Sprintf("file: {path: %q, type: saml2}", w.file("saml-"+cloud))}
	}
	vm := func(cloud string) source {
		return source{name: "vm", kind: "azureIMDS", by: "azure", yaml: fmt.Sprintf("azureIMDS: {resource: \"api://wisp-%s\", endpoint: %q}", cloud, endpoint)}
	}
	from := func(name, cloud, by, options string) source {
		under := w.pair(w.kubernetes()[0], cloud)
		return source{name: name, kind: "identity (" + cloud + ")", by: by, under: under.Identities,
			yaml: fmt.Sprintf("identity: {name: %s, %s}", under.Name, options)}
	}
	aws := w.pair(w.kubernetes()[0], "aws")
	return []otherSource{
		{vm("google"), []string{"google"}},
		{vm("aws"), []string{"aws"}},
		{source{name: "gce", kind: "gceMetadata", by: "gce", yaml: fmt.Sprintf("gceMetadata: {endpoint: %q}", endpoint)}, []string{"aws", "entra"}},
		{source{name: "role", kind: "awsCallerIdentity (aws)", by: "amazon", under: aws.Identities,
			yaml: fmt.Sprintf("awsCallerIdentity: {identity: %s, region: %s}", aws.Name, region)}, []string{"google"}},
		{source{name: "ec2", kind: "awsCallerIdentity (instance)", by: "amazon", yaml: "awsCallerIdentity: {" + instance + "}"}, []string{"google"}},
		{source{name: "ecs", kind: "awsCallerIdentity (container)", by: "amazon",
			yaml: fmt.Sprintf("awsCallerIdentity: {credentials: container, region: %s}", region)}, []string{"google"}},
		{source{name: "keys", kind: "awsCallerIdentity (environment)", by: "amazon",
			yaml: fmt.Sprintf("awsCallerIdentity: {credentials: environment, region: %s}", region)}, []string{"google"}},
		{from("id-token", "google", "google", "audience: "+awsAudience), []string{"aws"}},
		{from("id-token", "google", "google", fmt.Sprintf("audience: %q", entraAudience)), []string{"entra"}},
		{from("id-token", "google", "google", fmt.Sprintf("audience: %q", oauthAudience)), []string{"oauthSTS"}},
		{from("app", "entra", "entra", fmt.Sprintf("resource: %q", application)), []string{"aws", "google", "oauthSTS"}},
		{from("oauth", "oauthSTS", "oauth", "type: jwt"), []string{"aws", "google", "entra"}},
		{saml("google"), []string{"google"}},
		{saml("oauth"), []string{"oauthSTS"}},
	}
}

// pair writes the document of a source and a cloud, and says what is to come of it.
func (w *World) pair(s source, cloud string) Pair {
	p := Pair{Name: s.name + "-" + strings.ToLower(strings.TrimSuffix(cloud, "STS")), Source: s.kind, Cloud: cloud}
	var exchange, audience string
	switch cloud {
	case "aws":
		audience = audiences["aws"]
		exchange = fmt.Sprintf("aws: {roleArn: %q, region: %s, endpoint: %q}", role(s.by), region, w.o.URL)
		p.Whom, p.Check = "arn:aws:sts::"+account+":assumed-role/"+s.by+"/", w.awsPrincipal
	case "google":
		audience = "https:" + provider(s.by)
		exchange = fmt.Sprintf("google: {audience: %q, serviceAccount: %s, tokenUrl: %q, impersonationUrl: %q}",
			provider(s.by), serviceAccount, w.o.URL+"/v1/token", w.o.URL)
		p.Whom, p.Check = "serviceAccount:"+serviceAccount, w.googlePrincipal
	case "entra":
		audience = audiences["entra"]
		exchange = fmt.Sprintf("entra: {tenantId: %s, clientId: %s, authorityHost: %q}", tenant, client, w.o.URL)
		p.Whom, p.Check = client, w.entraPrincipal
	case "oauthSTS":
		audience = audiences["oauth"]
		exchange = fmt.Sprintf("oauthSTS: {tokenUrl: %q, audience: [%q], clientId: %s, clientSecretFile: %q}",
			w.o.URL+"/token", oauthAudience, oauthClient, w.file("client-secret"))
		p.Whom, p.Check = oauthClient+" for ", w.oauthPrincipal
	}
	file := strings.ToLower(strings.TrimSuffix(cloud, "STS"))
	p.Identities = s.under + fmt.Sprintf("  - name: %s\n    source:\n      %s\n    exchange:\n      %s\n",
		p.Name, strings.NewReplacer("%s", file, "%[2]s", queryEscape(audience), "%[3]q", fmt.Sprintf("%q", audience)).Replace(s.yaml), exchange)
	return p
}
