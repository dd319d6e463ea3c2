package cloudtest

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// GCEMetadataOptions configure a [GCEMetadata].
type GCEMetadataOptions struct {
	ProjectID     string // required
	ProjectNumber int64  // 0 is 123456789012
	// Accounts are the e-mails of the machine's service accounts. The first is also called "default".
	// With none the machine has no identity.
	Accounts     []string
	Zone         string // empty is europe-west1-b
	InstanceName string // empty is vm-1
	InstanceID   uint64 // 0 is 4611686018427387904
	// IssuerURL is the claim "iss" of ID tokens, and where its documents are. Empty is
	// https://accounts.google.com.
	IssuerURL string
	Now       func() time.Time // nil is time.Now
	Rand      io.Reader        // for access tokens; nil is crypto/rand
}

// GCEMetadata is the metadata server of a Compute Engine instance, at http://metadata.google.internal
// and http://169.254.169.254. Operations for [Faults]:
//
//	identity  GET /computeMetadata/v1/instance/service-accounts/ACCOUNT/identity
//	token     GET /computeMetadata/v1/instance/service-accounts/ACCOUNT/token
//	metadata  GET / and all else below /computeMetadata/
//
// Its ID tokens are Google's, with the account's number as the subject, the same that [Google]
// gives it. Its access tokens are good for nothing. What is not below /computeMetadata/ goes to
// the [Issuer] of the ID tokens, so that one handler can serve both hosts. It is safe for concurrent use.
//
// https://cloud.google.com/compute/docs/instances/verifying-instance-identity
type GCEMetadata struct {
	Faults
	o      GCEMetadataOptions
	values map[string]string // by path below /computeMetadata/v1/
	issuer *Issuer
	now    func() time.Time
	chance *chance

	mu     sync.Mutex
	access map[string]gceToken // guarded by mu; by e-mail
}

type gceToken struct {
	text    string
	expires time.Time
}

const (
	gceRoot     = "/computeMetadata/v1/"
	gceAccounts = "instance/service-accounts/"
	gceMargin   = 5 * time.Minute // of life that an access token from the cache has left
)

// NewGCEMetadata returns the metadata server of a machine. It panics without a project.
func NewGCEMetadata(o GCEMetadataOptions) *GCEMetadata {
	if o.ProjectID == "" {
		panic("cloudtest: GCEMetadataOptions need ProjectID")
	}
	o.ProjectNumber = cmp.Or(o.ProjectNumber, 123456789012)
	o.Zone = cmp.Or(o.Zone, "europe-west1-b")
	o.InstanceName = cmp.Or(o.InstanceName, "vm-1")
	o.InstanceID = cmp.Or(o.InstanceID, 1<<62)
	return &GCEMetadata{
		o:      o,
		values: gceValues(o),
		issuer: NewIssuer(IssuerOptions{URL: cmp.Or(o.IssuerURL, "https://accounts.google.com"), Now: o.Now}),
		now:    clock(o.Now),
		chance: newChance(o.Rand),
		access: make(map[string]gceToken),
	}
}

// gceValues is all that never changes. Directories end in a slash.
func gceValues(o GCEMetadataOptions) map[string]string {
	number := strconv.FormatInt(o.ProjectNumber, 10)
	values := map[string]string{
		"":                           "instance/\nproject/\n",
		"instance/":                  "id\nname\nservice-accounts/\nzone\n",
		"project/":                   "numeric-project-id\nproject-id\n",
		"instance/id":                strconv.FormatUint(o.InstanceID, 10),
		"instance/name":              o.InstanceName,
		"instance/zone":              "projects/" + number + "/zones/" + o.Zone,
		"project/project-id":         o.ProjectID,
		"project/numeric-project-id": number,
	}
	var listing strings.Builder
	for i, email := range o.Accounts {
		names, aliases := []string{email}, ""
		if i == 0 {
			names, aliases = []string{"default", email}, "default\n"
		}
		for _, name := range names {
			listing.WriteString(name + "/\n")
			account := gceAccounts + name + "/"
			values[account] = "aliases\nemail\nidentity\nscopes\ntoken\n"
			values[account+"aliases"] = aliases
			values[account+"email"] = email
			values[account+"scopes"] = cloudPlatform + "\n"
		}
	}
	values[gceAccounts] = listing.String()
	return values
}

// Issuer is what signs the ID tokens.
func (g *GCEMetadata) Issuer() *Issuer { return g.issuer }

// ServeHTTP answers for metadata and for the issuer's documents.
func (g *GCEMetadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" && !strings.HasPrefix(r.URL.Path, "/computeMetadata/") {
		g.issuer.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Metadata-Flavor", "Google")
	w.Header().Set("Server", "Metadata Server for VM")
	path, ok := strings.CutPrefix(r.URL.Path, gceRoot)
	account, leaf, _ := strings.Cut(strings.TrimPrefix(path, gceAccounts), "/")
	operation := "metadata"
	if ok && strings.HasPrefix(path, gceAccounts) && (leaf == "identity" || leaf == "token") {
		operation = leaf
	}
	if g.answers(w, r, operation, g.now, gceWording) {
		return
	}
	_, forwarded := r.Header["X-Forwarded-For"]
	switch {
	case forwarded:
		writeGCEError(w, http.StatusForbidden, "The request has an X-Forwarded-For header.")
	case r.URL.Path == "/":
		writeGCEText(w, "computeMetadata/\n")
	case r.Header.Get("Metadata-Flavor") != "Google":
		writeGCEError(w, http.StatusForbidden, "The request has no Metadata-Flavor: Google header.")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		writeGCEError(w, http.StatusMethodNotAllowed, "Method not allowed.")
	case operation == "metadata":
		g.metadata(w, r, path, ok)
	default:
		g.credential(w, r, account, operation)
	}
}

// metadata answers with a value or a listing. What would change its form is refused, lest a client
// take the wrong form for the service's.
func (g *GCEMetadata) metadata(w http.ResponseWriter, r *http.Request, path string, below bool) {
	query := r.URL.Query()
	if query.Has("recursive") || query.Has("alt") || query.Has("wait_for_change") {
		writeGCEError(w, http.StatusNotImplemented, "The fake server has no recursive, alt and wait_for_change.")
		return
	}
	value, ok := g.values[path]
	if _, directory := g.values[path+"/"]; directory {
		target := url.URL{Path: r.URL.Path + "/", RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, target.RequestURI(), http.StatusMovedPermanently)
		return
	}
	if !below || !ok {
		writeGCEError(w, http.StatusNotFound, "The requested URL was not found on this server.")
		return
	}
	writeGCEText(w, value)
}

// credential answers with a token of an account.
func (g *GCEMetadata) credential(w http.ResponseWriter, r *http.Request, account, kind string) {
	email, ok := g.values[gceAccounts+account+"/email"]
	if !ok {
		writeGCEError(w, http.StatusNotFound, "The service account was not found.")
		return
	}
	if kind == "token" {
		writeJSON(w, "application/json", http.StatusOK, g.accessToken(email))
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	format := cmp.Or(query.Get("format"), "standard")
	switch {
	case err != nil || query.Get("audience") == "":
		writeGCEError(w, http.StatusBadRequest, "non-empty audience parameter required")
	case format != "standard" && format != "full":
		writeGCEError(w, http.StatusBadRequest, "format must be standard or full")
	default:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, g.mint(email, query.Get("audience"), format == "full"))
	}
}

// accessToken gives the same token until it is near its end.
func (g *GCEMetadata) accessToken(email string) any {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	token, ok := g.access[email]
	if !ok || token.expires.Sub(now) <= gceMargin {
		token = gceToken{text: "ya29.c." + g.chance.text(base64Alphabet, 240), expires: now.Add(g.limit(time.Hour))}
		g.access[email] = token
	}
	return struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		TokenType   string `json:"token_type"`
	}{token.text, int(token.expires.Sub(now).Seconds()), "Bearer"}
}

// mint makes an ID token. In the full format it tells the account's name and what the machine is.
func (g *GCEMetadata) mint(email, audience string, full bool) string {
	now := g.now()
	claims := map[string]any{
		"aud": audience,
		"azp": uniqueID(email),
		"exp": now.Add(g.limit(time.Hour)).Unix(),
		"iat": now.Unix(),
		"iss": g.issuer.URL(),
		"sub": uniqueID(email),
	}
	if full {
		claims["email"] = email
		claims["email_verified"] = true
		claims["google"] = map[string]any{"compute_engine": map[string]any{
			"instance_creation_timestamp": 1767225600,
			"instance_id":                 strconv.FormatUint(g.o.InstanceID, 10),
			"instance_name":               g.o.InstanceName,
			"project_id":                  g.o.ProjectID,
			"project_number":              g.o.ProjectNumber,
			"zone":                        g.o.Zone,
		}}
	}
	return sign(jose.RS256, g.issuer.keys.key(jose.RS256), claims)
}

// writeGCEText writes a value as it is: no newline is added.
func writeGCEText(w http.ResponseWriter, value string) {
	w.Header().Set("Content-Type", "application/text")
	_, _ = io.WriteString(w, value)
}

func writeGCEError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, message)
}

var gceWording = wording{
	throttled: func(w http.ResponseWriter) {
		writeGCEError(w, http.StatusTooManyRequests, "Too many requests.")
	},
	contentType: "application/json",
	malformed:   `{"access_token":"ya29.`,
}
