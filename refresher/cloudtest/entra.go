package cloudtest

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// EntraOptions configure an [Entra].
type EntraOptions struct {
	Apps []App
	// Tenants are known besides those of the Apps.
	Tenants []string
	// Domains are the verified domain names of tenants: the tenant's id by its name.
	Domains map[string]string
	// Resources are the identifiers (application ID URI or GUID) that tokens can be had for; one
	// trailing slash makes no difference. Nil is Azure Resource Manager (two names), Key Vault,
	// Storage and Microsoft Graph.
	Resources []string
	Lifetime  time.Duration     // of access tokens; 0 is one hour
	Transport http.RoundTripper // leads to issuers; nil is http.DefaultTransport
	Now       func() time.Time  // nil is time.Now
	Rand      io.Reader         // for trace ids; nil is crypto/rand
}

// An App is an application, or a user-assigned managed identity, in a tenant.
type App struct {
	TenantID    string // GUID or domain
	ClientID    string
	Credentials []FederatedCredential
}

// A FederatedCredential trusts one subject of one issuer. All comparisons are exact: the issuer's
// trailing slash counts, and so does the subject's case.
type FederatedCredential struct {
	Issuer   string
	Subject  string
	Audience string // commonly api://AzureADTokenExchange
}

// Entra is the token endpoint of Microsoft Entra ID, for client credentials with a federated
// assertion. Operations for [Faults]:
//
//	token  POST /TENANT/oauth2/v2.0/token
//	keys   GET  /TENANT/discovery/v2.0/keys, of the access tokens
//
// It is safe for concurrent use.
//
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
type Entra struct {
	Faults
	resources []string
	domains   map[string]string // by name in lower case
	lifetime  time.Duration
	verifier  *Verifier
	now       func() time.Time
	chance    *chance
	keys      *keyring

	mu      sync.Mutex
	tenants []string       // guarded by mu
	apps    map[appKey]App // guarded by mu
}

type appKey struct{ tenant, client string }

// NewEntra returns a service that knows the given applications.
func NewEntra(o EntraOptions) *Entra {
	resources := o.Resources
	if resources == nil {
		resources = []string{
			"https://management.azure.com", "https://management.core.windows.net",
			"https://vault.azure.net", "https://storage.azure.com", "https://graph.microsoft.com",
		}
	}
	domains := make(map[string]string)
	for name, tenant := range o.Domains {
		domains[strings.ToLower(name)] = tenant
	}
	e := &Entra{
		resources: resources,
		domains:   domains,
		lifetime:  cmp.Or(o.Lifetime, time.Hour),
		verifier:  NewVerifier(VerifierOptions{Transport: o.Transport, Now: o.Now}),
		now:       clock(o.Now),
		chance:    newChance(o.Rand),
		keys:      newKeyring(jose.RS256),
		tenants:   slices.Clone(o.Tenants),
		apps:      make(map[appKey]App),
	}
	for _, app := range o.Apps {
		e.PutApp(app)
	}
	return e
}

// PutApp adds or replaces the application of its tenant and client id.
func (e *Entra) PutApp(app App) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Contains(e.tenants, app.TenantID) {
		e.tenants = append(e.tenants, app.TenantID)
	}
	e.apps[appKey{strings.ToLower(app.TenantID), strings.ToLower(app.ClientID)}] = app
}

// EntraToken is what an access token of [Entra] says.
type EntraToken struct {
	Audience string
	TenantID string
	ClientID string
	Expires  time.Time
}

// Validate checks an access token as a resource does: signature, issuer and expiry.
func (e *Entra) Validate(accessToken string) (EntraToken, error) {
	signed, err := jose.ParseSignedCompact(accessToken, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return EntraToken{}, err
	}
	key := e.keys.key(jose.RS256)
	text, err := signed.Verify(key.Public())
	if err != nil {
		return EntraToken{}, err
	}
	claims, err := decodeObject(text)
	if err != nil {
		return EntraToken{}, err
	}
	token, err := sortClaims(claims)
	if err != nil {
		return EntraToken{}, err
	}
	if !e.now().Before(token.Expires) {
		return EntraToken{}, errors.New("the access token has expired")
	}
	tenant, _ := claims["tid"].(string)
	client, _ := claims["appid"].(string)
	return EntraToken{Audience: token.Audience[0], TenantID: tenant, ClientID: client, Expires: token.Expires}, nil
}

var (
	entraToken = regexp.MustCompile(`^/([^/]+)/oauth2/v2\.0/token$`)
	entraKeys  = regexp.MustCompile(`^/[^/]+/discovery/v2\.0/keys$`)
)

// ServeHTTP answers both operations.
func (e *Entra) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := e.newAnswer(w, r)
	path := entraToken.FindStringSubmatch(r.URL.Path)
	operation := ""
	switch {
	case path != nil:
		operation = "token"
	case entraKeys.MatchString(r.URL.Path):
		operation = "keys"
	}
	if e.answers(w, r, operation, e.now, answer.wording()) {
		return
	}
	switch operation {
	case "keys":
		writeJSON(w, entraJSON, http.StatusOK, e.keys.public())
	case "token":
		token, failure := e.token(r, cmp.Or(e.domains[strings.ToLower(path[1])], path[1]))
		if failure != nil {
			answer.refuse(failure)
			return
		}
		w.Header().Set("Cache-Control", "no-store, no-cache")
		w.Header().Set("Pragma", "no-cache")
		writeJSON(w, entraJSON, http.StatusOK, token)
	default:
		http.NotFound(w, r)
	}
}

// An accessToken is the answer to a token request. Its numbers are numbers.
type accessToken struct {
	Type        string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	ExtExpires  int    `json:"ext_expires_in"`
	AccessToken string `json:"access_token"`
}

// token checks a request in full. Nobody outside knows in which order Entra looks at things; this
// one tells the most general problem first.
func (e *Entra) token(r *http.Request, tenant string) (accessToken, *entraError) {
	if r.Method != http.MethodPost {
		return accessToken{}, entraRefusal(900561, "The endpoint only accepts POST requests. Received a %s request.", r.Method)
	}
	if !e.knowsTenant(tenant) {
		return accessToken{}, entraRefusal(90002, "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", tenant)
	}
	form, failure := entraParameters(r)
	if failure != nil {
		return accessToken{}, failure
	}
	client := form.Get("client_id")
	app, ok := e.app(tenant, client)
	if !ok {
		return accessToken{}, entraRefusal(700016, "Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.", client, tenant)
	}
	resource, failure := entraResource(form.Get("scope"))
	if failure != nil {
		return accessToken{}, failure
	}
	if failure := e.authenticate(r, app, form); failure != nil {
		return accessToken{}, failure
	}
	if !slices.ContainsFunc(e.resources, func(known string) bool {
		return strings.TrimSuffix(known, "/") == strings.TrimSuffix(resource, "/")
	}) {
		return accessToken{}, entraRefusal(500011, "The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.", resource, tenant)
	}
	return e.issue(app, resource), nil
}

func (e *Entra) knowsTenant(tenant string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.tenants, func(known string) bool { return strings.EqualFold(known, tenant) })
}

func (e *Entra) app(tenant, client string) (App, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	app, ok := e.apps[appKey{strings.ToLower(tenant), strings.ToLower(client)}]
	return app, ok
}

// entraParameters reads the form and sees to it that everything is there.
func entraParameters(r *http.Request) (url.Values, *entraError) {
	if err := r.ParseForm(); err != nil {
		return nil, entraRefusal(90013, "Invalid input received from the user.")
	}
	form := r.PostForm
	missing := func(name string) *entraError {
		return entraRefusal(900144, "The request body must contain the following parameter: '%s'.", name)
	}
	if !form.Has("grant_type") {
		return nil, missing("grant_type")
	}
	if form.Get("grant_type") != "client_credentials" {
		return nil, entraRefusal(70003, "The app requested an unsupported grant type '%s'.", form.Get("grant_type"))
	}
	for _, name := range []string{"client_id", "scope"} {
		if form.Get(name) == "" {
			return nil, missing(name)
		}
	}
	return form, nil
}

// entraResource is the resource of a scope: all before the last "/.default", so that the scope
// https://management.azure.com//.default is for a resource with a trailing slash.
func entraResource(scope string) (string, *entraError) {
	if len(strings.Fields(scope)) != 1 {
		return "", entraRefusal(70011, "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope %s is not valid.", scope)
	}
	resource, ok := strings.CutSuffix(scope, "/.default")
	if !ok || resource == "" {
		return "", entraRefusal(1002012, "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", scope)
	}
	return resource, nil
}

// issue makes an access token of version 1, the default of Azure's own resources.
func (e *Entra) issue(app App, resource string) accessToken {
	now := e.now()
	lifetime := e.limit(e.lifetime)
	principal := sha256.Sum256([]byte(app.TenantID + "/" + app.ClientID))
	claims := map[string]any{
		"aud":      resource,
		"iss":      "https://sts.windows.net/" + app.TenantID + "/",
		"iat":      now.Unix(),
		"nbf":      now.Unix(),
		"exp":      now.Add(lifetime).Unix(),
		"appid":    app.ClientID,
		"appidacr": "2",
		"idtyp":    "app",
		"oid":      uuid([16]byte(principal[:16])),
		"sub":      uuid([16]byte(principal[:16])),
		"tid":      app.TenantID,
		"uti":      e.chance.text(base64Alphabet, 22),
		"ver":      "1.0",
	}
	seconds := int(lifetime.Seconds())
	return accessToken{
		Type:        "Bearer",
		ExpiresIn:   seconds,
		ExtExpires:  seconds,
		AccessToken: sign(jose.RS256, e.keys.key(jose.RS256), claims),
	}
}
