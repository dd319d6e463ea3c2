package googlests

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// Limits and default of [Options.Lifetime].
const (
	minLifetime     = 600 * time.Second
	maxLifetime     = 43200 * time.Second
	defaultLifetime = 3600 * time.Second
)

const defaultUniverse = "googleapis.com"

// Options configure an [Exchanger].
type Options struct {
	// Audience is the full resource name of the provider. Required. For workloads
	// //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER,
	// for a workforce //iam.googleapis.com/locations/LOCATION/workforcePools/POOL/providers/PROVIDER, and for
	// a cluster of a GKE fleet identitynamespace:PROJECT.svc.id.goog:URL with the URL of its membership.
	Audience string
	// SubjectTokenType is the RFC 8693 type URI sent to the token service; empty means the Token's own.
	SubjectTokenType string
	// TokenURL is the token service; empty means https://sts.{UniverseDomain}/v1/token. Its host must be
	// below googleapis.com or UniverseDomain, or be loopback where Transport allows http.
	TokenURL string
	// ClientID and ClientSecret authenticate an OAuth client to the token service, by HTTP Basic. They
	// are for workforce pools, which have no project: the client's own is billed then. Both or neither.
	ClientID     string
	ClientSecret refresher.Secret
	// UserProject is the project, id or number, that is billed for what the federated token is used for,
	// with a workforce pool; the identity needs serviceusage.services.use there. It is not sent together
	// with a ClientID. A workload pool's tokens belong to the pool's project.
	UserProject string

	// ServiceAccount is the e-mail or the numeric id of the account to impersonate. Empty means
	// direct federation: the federated token is the credential.
	ServiceAccount string
	// ImpersonationURL is where the IAM Credentials API is, without /v1/…; empty means
	// https://iamcredentials.{UniverseDomain}. The rule for hosts is that of TokenURL.
	ImpersonationURL string
	// Lifetime is asked for the service account's access tokens: whole seconds from 600 s to 43200 s;
	// 0 means 3600 s. More than 3600 s needs the organization policy
	// iam.allowServiceAccountCredentialLifetimeExtension. ID tokens always live an hour.
	Lifetime time.Duration
	// Delegates is the chain of service accounts, e-mails or numeric ids, through which
	// ServiceAccount is impersonated: each one needs Token Creator on the next.
	Delegates []string

	// Scopes are those of a Target that names none; empty means cloud-platform.
	Scopes []string
	// QuotaProject is the project, id or number, that is billed for the impersonation requests; the
	// identity needs serviceusage.services.use there. It has no effect on direct federation, where
	// applications name it in their own requests.
	QuotaProject string
	// UniverseDomain is for clouds other than the public one; empty means googleapis.com.
	UniverseDomain string

	// Transport sends the requests. Required.
	Transport *upstream.Transport
}

var (
	workloadAudience  = regexp.MustCompile(`^//iam\.([a-z0-9.-]+)/projects/[0-9]+/locations/global/workloadIdentityPools/([a-z0-9-]+)/providers/([a-z0-9-]+)$`)
	workforceAudience = regexp.MustCompile(`^//iam\.([a-z0-9.-]+)/locations/[a-z0-9-]+/workforcePools/([a-z0-9-]+)/providers/([a-z0-9-]+)$`)
	fleetAudience     = regexp.MustCompile(`^identitynamespace:([a-z0-9.:-]+\.svc\.id\.goog):https://[\x21-\x7E]+$`)
	projectIDAudience = regexp.MustCompile(`/projects/[^/]*[^/0-9][^/]*/`)

	// serviceAccount has to keep everything out that would change the meaning of the URL it is put
	// into. Besides user-managed accounts there are the default accounts of Compute Engine and App
	// Engine, and numeric ids.
	serviceAccount = regexp.MustCompile(`^(?:([a-z0-9-]+)@[a-z0-9.-]+\.iam\.gserviceaccount\.com` +
		`|[0-9]+-compute@developer\.gserviceaccount\.com` +
		`|[a-z0-9.-]+@appspot\.gserviceaccount\.com` +
		`|([0-9]+))$`)
	domainName = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
	projectID  = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]*$`)
	// basicUser and basicPassword are what HTTP Basic can carry (RFC 7617 section 2), without its
	// quarrels over encodings.
	basicUser     = regexp.MustCompile(`^[\x21-\x39\x3B-\x7E]+$`)
	basicPassword = regexp.MustCompile(`^[\x20-\x7E]+$`)
	scopeToken    = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // RFC 6749 section 3.3
)

// Check reports everything that is wrong with the options, nil if nothing is. Without a Transport
// URLs are checked as if it allowed no http.
func (o Options) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if problem := o.audienceProblem(); problem != "" {
		report("audience", "%s", problem)
	}
	if o.SubjectTokenType != "" && !slices.Contains(subjectTokenTypes, o.SubjectTokenType) {
		report("subjectTokenType", "%q is not one of %s", o.SubjectTokenType, strings.Join(subjectTokenTypes, ", "))
	}
	if o.UniverseDomain != "" && !domainName.MatchString(o.UniverseDomain) {
		report("universeDomain", "%q is not a domain name in lower case", o.UniverseDomain)
	}
	if o.TokenURL != "" {
		if err := o.checkURL(o.TokenURL); err != nil {
			report("tokenUrl", "%v", err)
		}
	}
	if o.ImpersonationURL != "" {
		if err := o.checkURL(o.ImpersonationURL); err != nil {
			report("impersonationUrl", "%v", err)
		}
	}
	problems = append(problems, o.clientProblems()...)
	if problem := o.userProjectProblem(); problem != "" {
		report("userProject", "%s", problem)
	}
	if o.ServiceAccount != "" && !isServiceAccount(o.ServiceAccount) {
		report("serviceAccount", "%q is not a service account's e-mail or numeric id", o.ServiceAccount)
	}
	for i, delegate := range o.Delegates {
		if !isServiceAccount(delegate) {
			report(fmt.Sprintf("delegates.%d", i), "%q is not a service account's e-mail or numeric id", delegate)
		}
	}
	switch {
	case o.Lifetime == 0:
	case o.Lifetime < minLifetime || o.Lifetime > maxLifetime || o.Lifetime%time.Second != 0:
		report("lifetime", "%s is not a whole number of seconds from 600s to 43200s", o.Lifetime)
	case o.ServiceAccount == "":
		report("lifetime", "has no effect without serviceAccount: the token service decides how long a federated token lives")
	}
	if len(o.Delegates) > 0 && o.ServiceAccount == "" {
		report("delegates", "have no effect without serviceAccount")
	}
	for i, scope := range o.Scopes {
		if !scopeToken.MatchString(scope) {
			report(fmt.Sprintf("scopes.%d", i), "%q is not one scope", scope)
		}
	}
	if o.QuotaProject != "" && (len(o.QuotaProject) > 63 || !projectID.MatchString(o.QuotaProject)) {
		report("quotaProject", "%q is not a project id or number", o.QuotaProject)
	}
	return problems
}

// subjectTokenTypes are what a provider of a pool can be configured for, certificates excepted: those
// are shown in the TLS handshake.
var subjectTokenTypes = []string{
	refresher.TypeJWT, refresher.TypeIDToken, refresher.TypeSAML2, refresher.TypeAWSRequest,
}

func (o Options) audienceProblem() string {
	if FleetPool(o.Audience) != "" {
		return ""
	}
	for _, kind := range []struct {
		pattern           *regexp.Regexp
		shortest, longest int // name of a pool
	}{{workloadAudience, 4, 32}, {workforceAudience, 6, 63}} {
		match := kind.pattern.FindStringSubmatch(o.Audience)
		if match != nil && (match[1] == defaultUniverse || match[1] == o.UniverseDomain) &&
			within(len(match[2]), kind.shortest, kind.longest) && within(len(match[3]), 4, 32) {
			return ""
		}
	}
	const want = "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER"
	switch {
	case o.Audience == "":
		return "is required: " + want
	case strings.HasPrefix(o.Audience, "https:"):
		return "starts with https:, which is the form for the subject token's audience: leave https: out here"
	case projectIDAudience.MatchString(o.Audience):
		return "names the project by its id: write its number"
	}
	return fmt.Sprintf("%q is not the full name of a provider: %s", o.Audience, want)
}

func within(n, least, most int) bool { return least <= n && n <= most }

// isServiceAccount tells names and numbers of service accounts from all else. (Here and elsewhere lengths
// are not in the patterns: compiled they cost memory and time.)
func isServiceAccount(name string) bool {
	match := serviceAccount.FindStringSubmatch(name)
	if match == nil {
		return false
	}
	return (match[1] == "" || within(len(match[1]), 6, 30)) && (match[2] == "" || within(len(match[2]), 10, 30))
}

// maxUserProject is the length of the longest userProject that the token service takes.
const maxUserProject = 32

func (o Options) userProjectProblem() string {
	switch {
	case o.UserProject == "":
		return ""
	case !projectID.MatchString(o.UserProject) || len(o.UserProject) > maxUserProject:
		return fmt.Sprintf("%q is not a project id or number of at most %d characters", o.UserProject, maxUserProject)
	case !o.workforce():
		return "is for the audience of a workforce pool only: a workload pool belongs to a project already"
	}
	return ""
}

// clientProblems never quotes the secret.
func (o Options) clientProblems() []refresher.FieldError {
	switch {
	case o.ClientID == "" && o.ClientSecret == "":
		return nil
	case o.ClientID == "":
		return []refresher.FieldError{{Field: "clientId", Problem: "is required with clientSecret"}}
	case o.ClientSecret == "":
		return []refresher.FieldError{{Field: "clientSecret", Problem: "is required with clientId"}}
	}
	var problems []refresher.FieldError
	if !basicUser.MatchString(o.ClientID) {
		problems = append(problems, refresher.FieldError{
			Field: "clientId", Problem: fmt.Sprintf("%q is not an OAuth client id", o.ClientID),
		})
	}
	if !basicPassword.MatchString(o.ClientSecret.Reveal()) {
		problems = append(problems, refresher.FieldError{
			Field: "clientSecret", Problem: "holds characters that are not printable ASCII: is there a newline at its end?",
		})
	}
	return problems
}

// checkURL applies the rule for hosts: x/oauth2 says that it "does not perform any validation" of
// these URLs, and both receive tokens.
func (o Options) checkURL(raw string) error {
	u, err := cmp.Or(o.Transport, new(upstream.Transport)).CheckURL(raw)
	if err != nil {
		return err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return errors.New("a URL with a query (?) cannot be this endpoint")
	}
	if u.Scheme == "http" {
		return nil // CheckURL lets that pass for loopback addresses only
	}
	host := strings.ToLower(u.Hostname())
	universe := cmp.Or(o.UniverseDomain, defaultUniverse)
	if strings.HasSuffix(host, "."+defaultUniverse) || strings.HasSuffix(host, "."+universe) {
		return nil
	}
	return fmt.Errorf("host %q is not below %s, and tokens are sent there", host, universe)
}

// New returns an Exchanger. Its error joins all that [Options.Check] reports.
func New(o Options) (*Exchanger, error) {
	if err := refresher.JoinFieldErrors(o.Check()); err != nil {
		return nil, fmt.Errorf("google: %w", err)
	}
	if o.Transport == nil {
		return nil, errors.New("google: a Transport is required")
	}
	o = o.withURLs()
	o.Lifetime = cmp.Or(o.Lifetime, defaultLifetime)
	o.Delegates = slices.Clone(o.Delegates)
	o.Scopes = slices.Clone(o.Scopes)
	if len(o.Scopes) == 0 {
		o.Scopes = []string{CloudPlatform}
	}
	return &Exchanger{o: o, client: o.Transport.Client()}, nil
}

// withURLs fills in where the services are.
func (o Options) withURLs() Options {
	o.UniverseDomain = cmp.Or(o.UniverseDomain, defaultUniverse)
	o.TokenURL = cmp.Or(o.TokenURL, "https://sts."+o.UniverseDomain+"/v1/token")
	o.ImpersonationURL = cmp.Or(strings.TrimRight(o.ImpersonationURL, "/"), "https://iamcredentials."+o.UniverseDomain)
	return o
}

// FleetPool is the pool of a GKE fleet, PROJECT.svc.id.goog, if audience names a provider of one, else
// empty. It is also the audience that subject tokens for it have.
//
// https://cloud.google.com/kubernetes-engine/fleet-management/docs/use-workload-identity
func FleetPool(audience string) string {
	if match := fleetAudience.FindStringSubmatch(audience); match != nil {
		return match[1]
	}
	return ""
}

func (o Options) workforce() bool { return workforceAudience.MatchString(o.Audience) }
