package cloudtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An impersonation is the request of generateAccessToken and of generateIdToken, whose fields
// are those of the first and the second half. Delegates may be null.
type impersonation struct {
	Delegates []string `json:"delegates"`

	Scope    []string `json:"scope"`
	Lifetime string   `json:"lifetime"`

	Audience     string `json:"audience"`
	IncludeEmail bool   `json:"includeEmail"`
}

const (
	authHelp         = "Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
	serviceAccounts  = "projects/-/serviceAccounts/"
	shortestLifetime = time.Second
)

// impersonate issues a token of a service account to a principal that may act as it.
// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts
func (g *Google) impersonate(w http.ResponseWriter, r *http.Request, resource, operation string) {
	caller, ok := g.caller(w, r)
	if !ok {
		return
	}
	if !g.bill(w, caller, operation, r.Header.Get("X-Goog-User-Project")) {
		return
	}
	email, ok := strings.CutPrefix(resource, serviceAccounts)
	if !ok {
		invalidArgument(w, "Invalid form of account ID "+resource+". Should be [Gaia ID |Email |Unique ID |] of the account")
		return
	}
	wanted, ok := readImpersonation(w, r, operation)
	if !ok {
		return
	}
	account, ok := g.account(email)
	if !ok {
		writeGoogleError(w, http.StatusNotFound, "NOT_FOUND", "Not found; Gaia id not found for email "+email)
		return
	}
	permission := "iam.serviceAccounts.getAccessToken"
	if operation == "generateIdToken" {
		permission = "iam.serviceAccounts.getOpenIdToken"
	}
	if !g.mayImpersonate(caller, append(slices.Clone(wanted.Delegates), serviceAccounts+email)) {
		writeGoogleError(w, http.StatusForbidden, "PERMISSION_DENIED",
			"Permission '"+permission+"' denied on resource (or it may not exist).")
		return
	}
	if operation == "generateIdToken" {
		g.generateIDToken(w, account, wanted)
		return
	}
	g.generateAccessToken(w, account, wanted)
}

// caller authenticates the request, or answers it.
func (g *Google) caller(w http.ResponseWriter, r *http.Request) (grant, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		writeGoogleError(w, http.StatusUnauthorized, "UNAUTHENTICATED",
			"Request is missing required authentication credential. "+authHelp)
		return grant{}, false
	}
	caller, ok := g.granted(token)
	if !ok {
		writeGoogleError(w, http.StatusUnauthorized, "UNAUTHENTICATED",
			"Request had invalid authentication credentials. "+authHelp)
		return grant{}, false
	}
	if !slices.Contains(caller.scopes, cloudPlatform) && !slices.Contains(caller.scopes, "https://www.googleapis.com/auth/iam") {
		writeGoogleError(w, http.StatusForbidden, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
		return grant{}, false
	}
	return caller, true
}

// readImpersonation reads the request's document, or answers. Protocol buffers in JSON refuse
// fields they do not know.
func readImpersonation(w http.ResponseWriter, r *http.Request, operation string) (impersonation, bool) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil || kind != "application/json" {
		invalidArgument(w, "Invalid JSON payload received.")
		return impersonation{}, false
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var wanted impersonation
	if err := decoder.Decode(&wanted); err != nil {
		invalidArgument(w, "Invalid JSON payload received. "+err.Error())
		return impersonation{}, false
	}
	if foreign := wanted.Audience != "" || wanted.IncludeEmail; operation == "generateAccessToken" && foreign {
		invalidArgument(w, `Invalid JSON payload received. Unknown name "audience" or "includeEmail": Cannot find field.`)
		return impersonation{}, false
	}
	if foreign := wanted.Scope != nil || wanted.Lifetime != ""; operation == "generateIdToken" && foreign {
		invalidArgument(w, `Invalid JSON payload received. Unknown name "scope" or "lifetime": Cannot find field.`)
		return impersonation{}, false
	}
	return wanted, true
}

func invalidArgument(w http.ResponseWriter, message string) {
	writeGoogleError(w, http.StatusBadRequest, "INVALID_ARGUMENT", message)
}

// account finds one by its e-mail or its unique id.
func (g *Google) account(name string) (ServiceAccount, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a, ok := g.accounts[name]; ok {
		return a, true
	}
	for email, a := range g.accounts {
		if uniqueID(email) == name {
			return a, true
		}
	}
	return ServiceAccount{}, false
}

// mayImpersonate follows a chain of accounts: the caller must be allowed to act as the first, each as
// the next, the last of which is the one that is asked for.
func (g *Google) mayImpersonate(caller grant, chain []string) bool {
	for _, name := range chain {
		email, ok := strings.CutPrefix(name, serviceAccounts)
		account, known := g.account(email)
		if !ok || !known || !slices.ContainsFunc(account.Impersonators, caller.member) {
			return false
		}
		caller = grant{principal: "serviceAccount:" + account.Email}
	}
	return true
}

var protoDuration = regexp.MustCompile(`^(\d{1,10})(\.\d{1,9})?s$`)

func (g *Google) generateAccessToken(w http.ResponseWriter, account ServiceAccount, wanted impersonation) {
	if len(wanted.Scope) == 0 || slices.ContainsFunc(wanted.Scope, func(s string) bool { return !googleScope.MatchString(s) }) {
		invalidArgument(w, "Request contains an invalid argument: scope must name at least one OAuth 2.0 scope.")
		return
	}
	lifetime, longest := time.Hour, time.Hour
	if account.ExtendedLifetime {
		longest = 12 * time.Hour
	}
	if wanted.Lifetime != "" {
		if !protoDuration.MatchString(wanted.Lifetime) {
			invalidArgument(w, "Invalid value at 'lifetime' (type.googleapis.com/google.protobuf.Duration), \""+wanted.Lifetime+"\"")
			return
		}
		lifetime, _ = time.ParseDuration(wanted.Lifetime) // a subset of what Go understands
	}
	if lifetime < shortestLifetime || lifetime > longest {
		invalidArgument(w, "The access token lifetime cannot exceed "+strconv.Itoa(int(longest.Seconds()))+" seconds.")
		return
	}
	expires := g.now().Add(g.limit(lifetime)).Truncate(time.Second)
	token := g.issue("ya29.c.", grant{
		principal: "serviceAccount:" + account.Email,
		scopes:    slices.Clone(wanted.Scope),
		expires:   expires,
	})
	writeJSON(w, googleJSON, http.StatusOK, struct {
		AccessToken string `json:"accessToken"`
		ExpireTime  string `json:"expireTime"` // whole seconds, Z: Python and Java parse no other form
	}{token, expires.UTC().Format(time.RFC3339)})
}

// generateIDToken issues an OpenID Connect token of Google's, for one hour.
func (g *Google) generateIDToken(w http.ResponseWriter, account ServiceAccount, wanted impersonation) {
	if wanted.Audience == "" {
		invalidArgument(w, "Request contains an invalid argument: audience is required.")
		return
	}
	now := g.now()
	claims := map[string]any{
		"aud": wanted.Audience,
		"azp": uniqueID(account.Email),
		"exp": now.Add(g.limit(time.Hour)).Unix(),
		"iat": now.Unix(),
		"iss": "https://accounts.google.com",
		"sub": uniqueID(account.Email),
	}
	if wanted.IncludeEmail {
		claims["email"] = account.Email
		claims["email_verified"] = true
	}
	writeJSON(w, googleJSON, http.StatusOK, map[string]string{
		"token": sign(jose.RS256, g.keys.key(jose.RS256), claims),
	})
}

// uniqueID is a service account's number: 21 digits.
func uniqueID(email string) string {
	sum := sha256.Sum256([]byte(email))
	return "1" + strconv.FormatUint(1e19+binary.BigEndian.Uint64(sum[:])%(8e18), 10)
}
