// Package oauthsts trades a subject token for whatever an OAuth 2.0 token endpoint gives for it: the
// token exchange of RFC 8693, as Keycloak, Okta and many gateways speak it.
//
// That is one POST of a form. What differs from server to server is how the client proves who it is
// (see [Options.ClientAuth]), and which of audience, resource and scope the server looks at.
package oauthsts

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// Codes of failures that are not the endpoint's own.
const (
	// CodeClientCredential: the client's secret or key cannot be read, or is none. [refresher.Settling],
	// because a mounted file may come late and is replaced now and then.
	CodeClientCredential = "client_credential"
	// CodeTokenTypeUnsupported: the token needs a proof of possession, such as DPoP or a client
	// certificate, which whoever is handed the token does not have. [refresher.Denied].
	CodeTokenTypeUnsupported = "token_type_unsupported"
	// CodeIDTokenUnsupported: an ID token was asked for, and something else came. [refresher.Denied].
	CodeIDTokenUnsupported = "id_token_unsupported"
	// CodeNoExpiry: nobody says how long the token lives. [refresher.Denied].
	CodeNoExpiry = "no_expiry"
)

// An Exchanger implements [refresher.Exchanger] for one client of one token endpoint. It is immutable
// and safe for concurrent use.
type Exchanger struct {
	o        Options // without the secret, which printing an Exchanger would show
	endpoint *url.URL
	scope    string
	secret   func() (refresher.Secret, error) // the client's
	client   *http.Client
}

var _ refresher.Exchanger = (*Exchanger)(nil)

// DefaultScope is the [refresher.Target.Scope] that the zero Target stands for; empty without
// [Options.Scopes].
func (x *Exchanger) DefaultScope() string { return x.scope }

// Exchange makes one attempt, which is one request. target.Scope replaces the scopes.
// target.Audience asks for an ID token (requested_token_type id_token) for that audience, in place of
// the audiences and resources of the options. The credential's value is a [refresher.Bearer] of the
// type that the endpoint says it issued.
func (x *Exchanger) Exchange(ctx context.Context, subject refresher.Token, target refresher.Target) (refresher.Credential, error) {
	if refresher.AttemptFrom(ctx) == nil {
		// The transport leaves there what failures are sorted by.
		ctx = refresher.WithAttempt(ctx, new(refresher.Attempt))
	}
	form := x.form(subject, target)
	text, err := x.post(ctx, form, subject)
	if err != nil {
		return refresher.Credential{}, err
	}
	return x.credential(ctx, text, form, target)
}

// form is the request of RFC 8693 section 2.1, without the client's proof.
func (x *Exchanger) form(subject refresher.Token, target refresher.Target) url.Values {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {subject.Raw.Reveal()},
		"subject_token_type": {cmp.Or(x.o.SubjectTokenType, subject.Type)},
	}
	for name, value := range x.o.Parameters {
		form.Set(name, value)
	}
	if scope := cmp.Or(target.Scope, x.scope); scope != "" {
		form.Set("scope", scope)
	}
	if target.Audience != "" {
		form.Set("requested_token_type", refresher.TypeIDToken)
		form.Set("audience", target.Audience)
		return form
	}
	if x.o.RequestedTokenType != "" {
		form.Set("requested_token_type", x.o.RequestedTokenType)
	}
	// Several are sent as repeated parameters.
	if len(x.o.Audience) > 0 {
		form["audience"] = slices.Clone(x.o.Audience)
	}
	if len(x.o.Resource) > 0 {
		form["resource"] = slices.Clone(x.o.Resource)
	}
	return form
}

// post adds the client's proof to the request, sends it, and returns the body of a success.
func (x *Exchanger) post(ctx context.Context, form url.Values, subject refresher.Token) ([]byte, error) {
	header := http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"},
		"Accept":       {"application/json"},
	}
	secret, err := x.authenticate(refresher.AttemptFrom(ctx).ServerNow(), form, header)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the request cannot be made") // the cause would repeat the URL
	}
	req.Header = header
	resp, err := x.client.Do(req)
	if err != nil {
		return nil, upstream.NetworkError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return nil, x.refused(ctx, form, subject, secret)
	}
	text, err := io.ReadAll(resp.Body) // the transport bounds it
	if err != nil {
		return nil, upstream.NetworkError(&url.Error{Op: "Post", URL: x.endpoint.String(), Err: err})
	}
	return text, nil
}
