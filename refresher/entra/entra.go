// Package entra trades a subject token for a Microsoft Entra access token: the token is shown as the
// client assertion of a client-credentials request, for an application or a user-assigned managed
// identity that has a federated identity credential for it.
//
// That is one POST, so there is no MSAL here: it would bring a cache, retries and instance
// discovery of its own, each of which the engine has already or must not have.
//
// Source: https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
// "Third case: Access token request with a federated credential".
package entra

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// CodeIDTokenUnsupported: an ID token was asked for; the client-credentials flow has none.
const CodeIDTokenUnsupported = "id_token_unsupported"

// Codes of a token that [Options.ExpectedTenantID] keeps out.
const (
	CodeTenantMismatch = "tenant_mismatch" // the token is of another tenant
	CodeTenantUnknown  = "tenant_unknown"  // the token is not readable, or names no tenant
)

// Scope turns a resource, the word of managed-identity endpoints, into a scope of the v2 token
// endpoint: it appends /.default and changes nothing else. Entra takes what stands before the last
// /.default for the audience, so "https://management.azure.com/" has to become
// "https://management.azure.com//.default" for its slash to arrive. What ends in /.default already
// stays as it is.
func Scope(resource string) string {
	const suffix = "/.default"
	if strings.HasSuffix(resource, suffix) {
		return resource
	}
	return resource + suffix
}

// An Exchanger implements [refresher.Exchanger] for one application in one tenant. It is immutable
// and safe for concurrent use.
type Exchanger struct {
	tenantID string // expected; "" means any
	clientID string
	endpoint string
	scope    string
	client   *http.Client
}

var _ refresher.Exchanger = (*Exchanger)(nil)

// DefaultScope is the [refresher.Target.Scope] that the zero Target stands for.
func (x *Exchanger) DefaultScope() string { return x.scope }

// Exchange makes one attempt, which is one request. target.Scope is one "<resource>/.default", see
// [Scope]. A Target with an Audience is [refresher.Denied] with [CodeIDTokenUnsupported]. The
// credential's value is a [refresher.Bearer]. A token of another tenant than
// [Options.ExpectedTenantID] is Denied with [CodeTenantMismatch] or [CodeTenantUnknown].
//
// Entra decides how long a token lives. Its refresh_in is not looked at: the engine's own schedule is
// never later than half of a long life, and spreads a fleet, which a fixed number does not.
func (x *Exchanger) Exchange(ctx context.Context, subject refresher.Token, target refresher.Target) (refresher.Credential, error) {
	if target.Audience != "" {
		return refresher.Credential{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  CodeIDTokenUnsupported,
			Err:   errors.New("an application cannot have an Entra ID token for itself"),
			Hint:  "ask for an access token for a resource instead",
		}
	}
	if refresher.AttemptFrom(ctx) == nil {
		// The transport leaves there what failures are sorted by.
		ctx = refresher.WithAttempt(ctx, new(refresher.Attempt))
	}
	text, err := x.post(ctx, subject, cmp.Or(target.Scope, x.scope))
	if err != nil {
		return refresher.Credential{}, err
	}
	var answer struct {
		AccessToken refresher.Secret `json:"access_token"`
		ExpiresIn   upstream.Seconds `json:"expires_in"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.AccessToken == "" || answer.ExpiresIn.Duration() <= 0 {
		// Counts as passing: a broken proxy or a bad deployment of the service.
		return refresher.Credential{}, &refresher.Error{
			Class: refresher.Transient,
			Code:  refresher.CodeBadCredential,
			Err:   errors.New("the answer is not an access token with a positive expires_in"),
		}
	}
	if err := x.checkTenant(answer.AccessToken); err != nil {
		return refresher.Credential{}, err
	}
	return refresher.Credential{
		Value:   refresher.Bearer{Token: answer.AccessToken, Type: refresher.TypeAccessToken},
		Expires: refresher.AttemptFrom(ctx).ServerNow().Add(answer.ExpiresIn.Duration()),
	}, nil
}

// post sends the token request and returns the body of a success.
func (x *Exchanger) post(ctx context.Context, subject refresher.Token, scope string) ([]byte, error) {
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_id":             {x.clientID},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {subject.Raw.Reveal()},
		"scope":                 {scope},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	requestID := newUUID()
	req.Header.Set("Client-Request-Id", requestID)
	resp, err := x.client.Do(req)
	refresher.AttemptFrom(ctx).Record(func(d *refresher.AttemptData) {
		d.RequestID = cmp.Or(d.RequestID, requestID) // the answer's own is better
	})
	if err != nil {
		return nil, upstream.NetworkError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return nil, refused(ctx, subject)
	}
	text, err := io.ReadAll(resp.Body) // the transport bounds it
	if err != nil {
		return nil, upstream.NetworkError(&url.Error{Op: "Post", URL: x.endpoint, Err: err})
	}
	return text, nil
}

// newUUID returns a random UUID (RFC 9562 section 5.4). Microsoft's support finds a request by it.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
