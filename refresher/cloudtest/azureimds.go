package cloudtest

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// AzureIMDSOptions configure an [AzureIMDS].
type AzureIMDSOptions struct {
	TenantID   string // the tenant of the identities, a GUID; required
	Identities []ManagedIdentity
	// Resources are the identifiers (application ID URI or GUID) that tokens can be had for; one
	// trailing slash makes no difference. Nil is Azure Resource Manager.
	Resources []string
	// IssuerURL is the claim "iss", and where its documents are. Empty is https://sts.windows.net/TENANT/.
	IssuerURL string
	// Lifetime of access tokens, from nbf to exp; 0 is 24 h, the most that Google accepts.
	Lifetime time.Duration
	// NoCache makes a new token for each request. The real endpoint gives the same one until it is
	// near its end.
	NoCache bool
	Now     func() time.Time // nil is time.Now
	Rand    io.Reader        // for token ids; nil is crypto/rand
}

// A ManagedIdentity is one of the virtual machine's. All ids are required, and compared without case.
type ManagedIdentity struct {
	ClientID   string // GUID
	ObjectID   string // GUID of the principal
	ResourceID string // /subscriptions/…; of a system-assigned identity that of the machine
	// SystemAssigned: what a request gets that does not say which identity it wants. Without one,
	// such a request is good only if there is a single identity.
	SystemAssigned bool
}

// AzureIMDS is the identity endpoint of the Azure Instance Metadata Service, as a virtual machine
// sees it at http://169.254.169.254. Operations for [Faults]:
//
//	token  GET /metadata/identity/oauth2/token
//
// Real faults are 404 and 410 while the service is being updated, 429 (Throttle) and 500. What is not below
// /metadata goes to the [Issuer] of the tokens, so that one handler can serve both hosts. It is safe for
// concurrent use.
//
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
type AzureIMDS struct {
	Faults
	tenant     string
	identities []ManagedIdentity
	resources  []string
	lifetime   time.Duration
	noCache    bool
	issuer     *Issuer
	now        func() time.Time
	chance     *chance

	mu    sync.Mutex
	cache map[azureKey]azureToken // guarded by mu
}

type azureKey struct{ client, resource string }

// Dates of an Azure token. It is good from five minutes before it was made, for clocks that are
// behind.
const (
	azureBackdated = 5 * time.Minute
	azureLifetime  = 24 * time.Hour
	azureMargin    = 5 * time.Minute // of life that a token from the cache has left
)

// NewAzureIMDS returns the service of a machine. It panics if an id is missing.
func NewAzureIMDS(o AzureIMDSOptions) *AzureIMDS {
	incomplete := func(id ManagedIdentity) bool {
		return id.ClientID == "" || id.ObjectID == "" || id.ResourceID == ""
	}
	if o.TenantID == "" || slices.ContainsFunc(o.Identities, incomplete) {
		panic("cloudtest: AzureIMDSOptions need TenantID, and each identity its three ids")
	}
	resources := o.Resources
	if resources == nil {
		resources = []string{"https://management.azure.com"}
	}
	return &AzureIMDS{
		tenant:     o.TenantID,
		identities: slices.Clone(o.Identities),
		resources:  resources,
		lifetime:   cmp.Or(o.Lifetime, azureLifetime),
		noCache:    o.NoCache,
		issuer: NewIssuer(IssuerOptions{
			URL: cmp.Or(o.IssuerURL, "https://sts.windows.net/"+o.TenantID+"/"),
			Now: o.Now,
		}),
		now:    clock(o.Now),
		chance: newChance(o.Rand),
		cache:  make(map[azureKey]azureToken),
	}
}

// Issuer is what signs the tokens.
func (a *AzureIMDS) Issuer() *Issuer { return a.issuer }

// ServeHTTP answers for tokens and for the issuer's documents.
func (a *AzureIMDS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.ToLower(r.URL.Path) // the service does not look at case
	if path != "/metadata" && !strings.HasPrefix(path, "/metadata/") {
		a.issuer.ServeHTTP(w, r)
		return
	}
	operation := ""
	if path == "/metadata/identity/oauth2/token" {
		operation = "token"
	}
	if a.answers(w, r, operation, a.now, azureWording) {
		return
	}
	if operation == "" {
		writeAzureError(w, &azureError{status: http.StatusNotFound, Code: "not_found", Description: "Resource not found"})
		return
	}
	token, failure := a.token(r)
	if failure != nil {
		writeAzureError(w, failure)
		return
	}
	writeJSON(w, azureJSON, http.StatusOK, token)
}

// token checks a request in full, its form before its meaning.
func (a *AzureIMDS) token(r *http.Request) (azureToken, *azureError) {
	query, failure := azureQuery(r)
	if failure != nil {
		return azureToken{}, failure
	}
	identity, failure := a.identity(query)
	if failure != nil {
		return azureToken{}, failure
	}
	resource := query.Get("resource")
	if !slices.ContainsFunc(a.resources, func(known string) bool {
		return strings.TrimSuffix(known, "/") == strings.TrimSuffix(resource, "/")
	}) {
		return azureToken{}, azureRefusal("invalid_resource", "AADSTS500011: The resource principal named "+resource+
			" was not found in the tenant named "+a.tenant+". This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.")
	}
	return a.cached(identity, resource), nil
}

// azureQuery checks what does not depend on the machine.
func azureQuery(r *http.Request) (url.Values, *azureError) {
	if r.Method != http.MethodGet {
		return nil, &azureError{status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Description: "Only GET is allowed"}
	}
	// A forwarded request is somebody else's; even an empty header says that it was.
	if _, forwarded := r.Header["X-Forwarded-For"]; forwarded {
		return nil, azureRefusal("bad_request", "Request contains the X-Forwarded-For header")
	}
	if !strings.EqualFold(r.Header.Get("Metadata"), "true") {
		return nil, azureRefusal("bad_request_102", "Required metadata header not specified")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, azureRefusal("invalid_request", "The query string is malformed")
	}
	for name, values := range query {
		if len(values) > 1 {
			return nil, azureRefusal("invalid_request", "Query variable '"+name+"' is given more than once")
		}
	}
	switch version := query.Get("api-version"); {
	case version == "":
		return nil, azureVersionRefusal("was not specified")
	case !slices.Contains(azureVersions, version):
		return nil, azureVersionRefusal("is not supported")
	case query.Get("resource") == "":
		return nil, azureRefusal("invalid_request", "Required query variables 'resource' is missing")
	}
	return query, nil
}

// azureSelectors are the query variables that choose an identity. Two have a second name.
var azureSelectors = []struct {
	name string
	id   func(ManagedIdentity) string
}{
	{"client_id", func(m ManagedIdentity) string { return m.ClientID }},
	{"object_id", func(m ManagedIdentity) string { return m.ObjectID }},
	{"principal_id", func(m ManagedIdentity) string { return m.ObjectID }},
	{"msi_res_id", func(m ManagedIdentity) string { return m.ResourceID }},
	{"mi_res_id", func(m ManagedIdentity) string { return m.ResourceID }},
}

// identity finds the one that a request wants. An empty selector selects nothing.
func (a *AzureIMDS) identity(query url.Values) (ManagedIdentity, *azureError) {
	found := a.identities
	selectors := 0
	for _, selector := range azureSelectors {
		if !query.Has(selector.name) {
			continue
		}
		selectors++
		found = slices.DeleteFunc(slices.Clone(found), func(m ManagedIdentity) bool {
			return !strings.EqualFold(selector.id(m), query.Get(selector.name))
		})
	}
	if selectors > 1 {
		return ManagedIdentity{}, azureRefusal("invalid_request", "Only one of client_id, object_id and msi_res_id may be specified")
	}
	if selectors == 0 {
		if i := slices.IndexFunc(found, func(m ManagedIdentity) bool { return m.SystemAssigned }); i >= 0 {
			return found[i], nil
		}
	}
	switch len(found) {
	case 0:
		return ManagedIdentity{}, azureRefusal("invalid_request", "Identity not found")
	case 1:
		return found[0], nil
	}
	return ManagedIdentity{}, azureRefusal("invalid_request", "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request")
}

// An azureToken is the answer to a token request, in the service's order. Its numbers are strings.
type azureToken struct {
	AccessToken string `json:"access_token"`
	ClientID    string `json:"client_id"`
	ExpiresIn   string `json:"expires_in"`
	ExpiresOn   string `json:"expires_on"`
	ExtExpires  string `json:"ext_expires_in"`
	NotBefore   string `json:"not_before"`
	Resource    string `json:"resource"`
	Type        string `json:"token_type"`

	expires time.Time
}

// cached returns a token that has some of its life left, a new one if need be.
func (a *AzureIMDS) cached(identity ManagedIdentity, resource string) azureToken {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	key := azureKey{identity.ClientID, resource}
	token, ok := a.cache[key]
	if !ok || a.noCache || token.expires.Sub(now) <= azureMargin {
		token = a.issue(identity, resource)
		a.cache[key] = token
	}
	left := strconv.Itoa(int(token.expires.Sub(now).Seconds()))
	token.ExpiresIn, token.ExtExpires = left, left
	return token
}

// issue makes an access token of version 1, whatever the version of the application.
func (a *AzureIMDS) issue(identity ManagedIdentity, resource string) azureToken {
	now := a.now()
	good := now.Add(-azureBackdated)
	expires := now.Add(a.limit(a.lifetime - azureBackdated)).Truncate(time.Second)
	claims := map[string]any{
		"aud":       resource,
		"iss":       a.issuer.URL(),
		"iat":       good.Unix(),
		"nbf":       good.Unix(),
		"exp":       expires.Unix(),
		"appid":     identity.ClientID,
		"appidacr":  "2",
		"idp":       a.issuer.URL(),
		"idtyp":     "app",
		"oid":       identity.ObjectID,
		"sub":       identity.ObjectID,
		"tid":       a.tenant,
		"uti":       a.chance.text(base64Alphabet, 22),
		"ver":       "1.0",
		"xms_mirid": identity.ResourceID,
	}
	return azureToken{
		AccessToken: sign(jose.RS256, a.issuer.keys.key(jose.RS256), claims),
		ClientID:    identity.ClientID,
		ExpiresOn:   strconv.FormatInt(expires.Unix(), 10),
		NotBefore:   strconv.FormatInt(good.Unix(), 10),
		Resource:    resource,
		Type:        "Bearer",
		expires:     expires,
	}
}
