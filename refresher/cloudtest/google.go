package cloudtest

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// GoogleOptions configure a [Google].
type GoogleOptions struct {
	Providers       []PoolProvider
	ServiceAccounts []ServiceAccount
	// Projects are those that requests can be billed to; nil: anybody may name any project.
	Projects []Project
	// Clients are the OAuth clients that may authenticate themselves; nil: any name and secret will do.
	Clients []GoogleClient
	// Transport leads to issuers and, for AWS subject tokens, to AWS's STS; nil is http.DefaultTransport.
	Transport http.RoundTripper
	Now       func() time.Time // nil is time.Now
	Rand      io.Reader        // for access tokens; nil is crypto/rand
}

// A PoolProvider is a provider of a workload identity pool, for an OpenID Connect issuer, an AWS
// account or a SAML identity provider; or one of a workforce pool, which knows no AWS accounts. As
// workforces belong to no project, their token requests must name one to bill, or authenticate an
// OAuth client, which has one. (The real token service does without, but then no API takes the token.)
type PoolProvider struct {
	// Name is projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, or
	// locations/LOCATION/workforcePools/POOL/providers/PROVIDER, or, for a cluster of a GKE fleet,
	// identitynamespace:PROJECT.svc.id.goog:URL with the URL of the cluster's membership.
	Name     string
	Disabled bool

	Issuer string // OpenID Connect: the claim "iss"
	// AllowedAudiences replace the default audience of tokens, the provider's name with
	// "https://iam.googleapis.com/" or "//iam.googleapis.com/" before it; for a fleet PROJECT.svc.id.goog. A workforce provider has no
	// default: it is the provider's client id.
	AllowedAudiences []string

	AWSAccount string // AWS: 12 digits; set it instead of Issuer

	SAMLEntityID     string              // SAML 2.0: whom assertions are of; set it instead of Issuer
	SAMLCertificates []*x509.Certificate // SAML 2.0: of the keys that sign

	// Condition is the attribute condition; nil is true. For AWS the claims are account, arn and
	// userid, as GetCallerIdentity gives them; for SAML subject and attributes.
	Condition func(claims map[string]any) bool
	// Subject maps claims to google.subject; nil takes sub, for AWS the arn, for SAML the NameID.
	Subject func(claims map[string]any) string
}

// A ServiceAccount can be impersonated.
type ServiceAccount struct {
	Email string
	// Impersonators have roles/iam.workloadIdentityUser or serviceAccountTokenCreator on the account:
	//
	//	principal://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/subject/SUBJECT
	//	principalSet://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/*
	//	serviceAccount:EMAIL (a step in a chain of delegates)
	Impersonators []string
	// ExtendedLifetime: listed in constraints/iam.allowServiceAccountCredentialLifetimeExtension, so
	// that access tokens may live for 12 h instead of one.
	ExtendedLifetime bool
}

// Google is the Security Token Service and the IAM Credentials API. Operations for [Faults]:
//
//	token                POST /v1/token                                   sts.googleapis.com
//	introspect           POST /v1/introspect                              sts.googleapis.com
//	generateAccessToken  POST /v1/projects/-/serviceAccounts/EMAIL:…      iamcredentials.googleapis.com
//	generateIdToken      POST /v1/projects/-/serviceAccounts/EMAIL:…      iamcredentials.googleapis.com
//	certs                GET  /oauth2/v3/certs, keys of the ID tokens     www.googleapis.com
//
// One handler serves all hosts. It is safe for concurrent use.
//
// https://cloud.google.com/iam/docs/reference/sts/rest
// https://cloud.google.com/iam/docs/reference/credentials/rest
type Google struct {
	Faults
	transport http.RoundTripper
	verifier  *Verifier
	now       func() time.Time
	chance    *chance
	keys      *keyring
	clients   []GoogleClient

	mu        sync.Mutex
	providers map[string]PoolProvider   // guarded by mu, as is all below; by name
	accounts  map[string]ServiceAccount // by e-mail
	tokens    map[string]grant          // by access token
	projects  map[string]Project        // by id; nil if any will do
	billed    map[string]string         // by operation: see BilledTo
}

// A grant is what an access token stands for.
type grant struct {
	principal string // principal://… or serviceAccount:…
	pool      string // of a federated principal: …/workloadIdentityPools/POOL or …/workforcePools/POOL
	scopes    []string
	expires   time.Time
}

const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

var (
	providerName = regexp.MustCompile(`^(projects/\d+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}|locations/[a-z0-9-]+/workforcePools/[a-z0-9-]{6,63})/providers/[a-z0-9-]{4,32}$`)
	fleetName    = regexp.MustCompile(`^identitynamespace:([a-z0-9.:-]+\.svc\.id\.goog):https://[a-z0-9./_-]+$`)
	googleScope  = regexp.MustCompile(`^(openid|email|profile|https://www\.googleapis\.com/auth/[a-z0-9_.\-]+)$`)
	iamPath      = regexp.MustCompile(`^/v1/(projects/[^/]+/serviceAccounts/[^/:]+):(generateAccessToken|generateIdToken)$`)
)

// NewGoogle returns services that know the given providers and accounts. It panics if one of them
// is malformed.
func NewGoogle(o GoogleOptions) *Google {
	transport := o.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	g := &Google{
		transport: transport,
		verifier:  NewVerifier(VerifierOptions{Transport: transport, Now: o.Now}),
		now:       clock(o.Now),
		chance:    newChance(o.Rand),
		keys:      newKeyring(jose.RS256),
		clients:   slices.Clone(o.Clients),
		providers: make(map[string]PoolProvider),
		accounts:  make(map[string]ServiceAccount),
		tokens:    make(map[string]grant),
		billed:    make(map[string]string),
	}
	for _, p := range o.Providers {
		g.PutProvider(p)
	}
	for _, a := range o.ServiceAccounts {
		g.PutServiceAccount(a)
	}
	for _, p := range o.Projects {
		g.PutProject(p)
	}
	return g
}

// PutProvider adds or replaces the provider of its name. It panics if the name is not that of a
// provider.
func (g *Google) PutProvider(p PoolProvider) {
	if (!providerName.MatchString(p.Name) && p.fleet() == "") || !p.trustsOne() {
		panic(fmt.Sprintf("cloudtest: PoolProvider %q needs a full name and one of Issuer, AWSAccount and SAMLEntityID", p.Name))
	}
	if p.workforce() && (p.AWSAccount != "" || p.Issuer != "" && len(p.AllowedAudiences) == 0) {
		panic(fmt.Sprintf("cloudtest: PoolProvider %q of a workforce pool cannot be for AWS, and needs AllowedAudiences", p.Name))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.providers[p.Name] = p
}

func (p PoolProvider) workforce() bool { return strings.HasPrefix(p.Name, "locations/") }

// fleet is the fleet's pool, PROJECT.svc.id.goog; empty for providers of other pools.
func (p PoolProvider) fleet() string {
	if name := fleetName.FindStringSubmatch(p.Name); name != nil {
		return name[1]
	}
	return ""
}

// PutServiceAccount adds or replaces the account of its e-mail.
func (g *Google) PutServiceAccount(a ServiceAccount) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accounts[a.Email] = a
}

// Valid reports whether an access token was issued here and has not expired.
func (g *Google) Valid(accessToken string) bool {
	_, ok := g.Principal(accessToken)
	return ok
}

// Principal returns whom a valid access token stands for, as an IAM policy names members:
// principal://… or serviceAccount:….
func (g *Google) Principal(accessToken string) (string, bool) {
	granted, ok := g.granted(accessToken)
	return granted.principal, ok
}

// Scopes returns the scopes of a valid access token, sorted.
func (g *Google) Scopes(accessToken string) []string {
	granted, _ := g.granted(accessToken)
	return granted.scopes
}

func (g *Google) granted(accessToken string) (grant, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	granted, ok := g.tokens[accessToken]
	if !ok || !g.now().Before(granted.expires) {
		return grant{}, false
	}
	return granted, true
}

// issue makes the access token of a grant.
func (g *Google) issue(prefix string, granted grant) string {
	slices.Sort(granted.scopes)
	token := prefix + g.chance.text(base64Alphabet, 240)
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for old, granted := range g.tokens {
		if now.After(granted.expires) {
			delete(g.tokens, old)
		}
	}
	g.tokens[token] = granted
	return token
}

// ServeHTTP answers all operations.
func (g *Google) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := ""
	resource := iamPath.FindStringSubmatch(r.URL.Path)
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/oauth2/v3/certs":
		operation = "certs"
	case r.Method != http.MethodPost:
	case r.URL.Path == "/v1/token":
		operation = "token"
	case r.URL.Path == "/v1/introspect":
		operation = "introspect"
	case resource != nil:
		operation = resource[2]
	}
	if g.answers(w, r, operation, g.now, googleWording) {
		return
	}
	switch operation {
	case "token":
		g.token(w, r)
	case "introspect":
		g.introspect(w, r)
	case "generateAccessToken", "generateIdToken":
		g.impersonate(w, r, resource[1], operation)
	case "certs":
		writeJSON(w, googleJSON, http.StatusOK, g.keys.public())
	default:
		http.NotFound(w, r)
	}
}

const googleJSON = "application/json; charset=UTF-8"

// googleError is the error of Google's REST APIs (google.rpc.Status as JSON).
type googleError struct {
	Code    int               `json:"code"`
	Message string            `json:"message"`
	Status  string            `json:"status"`
	Details []googleErrorInfo `json:"details,omitempty"`
}

// googleErrorInfo is google.rpc.ErrorInfo (https://google.aip.dev/193).
type googleErrorInfo struct {
	Type     string            `json:"@type"`
	Reason   string            `json:"reason"`
	Domain   string            `json:"domain"`
	Metadata map[string]string `json:"metadata"`
}

func writeGoogleError(w http.ResponseWriter, code int, status, message string) {
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/"`)
	}
	writeJSON(w, googleJSON, code, map[string]googleError{"error": {Code: code, Message: message, Status: status}})
}

var googleWording = wording{
	throttled: func(w http.ResponseWriter) {
		writeGoogleError(w, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED",
			"Quota exceeded for quota metric 'Token exchange requests' and limit 'Token exchange requests per minute'.")
	},
	contentType: googleJSON,
	malformed:   `{"access_token":"ya29.`,
}

// member reports whether an IAM policy's member includes a grant's principal.
func (granted grant) member(member string) bool {
	if member == granted.principal {
		return true
	}
	pool, ok := strings.CutPrefix(member, "principalSet://iam.googleapis.com/")
	return ok && granted.pool != "" && pool == granted.pool+"/*"
}
