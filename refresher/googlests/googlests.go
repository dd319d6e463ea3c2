// Package googlests trades a subject token for Google Cloud credentials by workload identity
// federation: the Security Token Service turns the token into a federated access token, and the IAM
// Credentials API turns that into a service account's access or ID token.
//
//	Token ── sts.googleapis.com/v1/token ──> federated token   (direct federation ends here)
//	          iamcredentials.googleapis.com …:generateAccessToken ──> access token
//	                                        …:generateIdToken ──────> ID token
//
// The first step is golang.org/x/oauth2/google/externalaccount. The second is this package's own
// request, because that library knows neither delegates nor ID tokens, and reports the failures of
// both steps as text in which they cannot be told apart.
//
// Sources: https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token and
// https://cloud.google.com/iam/docs/reference/credentials/rest.
package googlests

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// CodeIDTokenUnsupported: an ID token was asked for, but Google signs those for service accounts only.
const CodeIDTokenUnsupported = "id_token_unsupported"

// CloudPlatform is the scope that covers every Google Cloud API; what an identity may do is limited
// by IAM, not by scopes.
const CloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// An Exchanger implements [refresher.Exchanger] for one workload identity provider and, if
// configured, one service account. It is immutable and safe for concurrent use.
type Exchanger struct {
	o      Options // with defaults filled in
	client *http.Client
}

var _ refresher.Exchanger = (*Exchanger)(nil)

// DefaultScope is the scope, in the form of [refresher.Target.Scope], that the zero Target stands for.
func (x *Exchanger) DefaultScope() string { return refresher.Scopes(x.o.Scopes...) }

// Exchange makes one attempt: one request for direct federation, two with a service account. The
// federated token in between is never kept, so that every attempt shows the current subject token.
//
// target.Audience asks for an ID token; target.Scope, ignored then, replaces the default scopes. A
// Target with an Audience is [refresher.Denied] with [CodeIDTokenUnsupported] if no service account
// is configured. The credential's value is a [refresher.Bearer].
func (x *Exchanger) Exchange(ctx context.Context, subject refresher.Token, target refresher.Target) (refresher.Credential, error) {
	if target.Audience != "" && x.o.ServiceAccount == "" {
		return refresher.Credential{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  CodeIDTokenUnsupported,
			Err:   errors.New("a federated identity cannot have a Google ID token"),
			Hint:  "configure serviceAccount: Google signs ID tokens for service accounts only",
		}
	}
	if refresher.AttemptFrom(ctx) == nil {
		// The transport leaves there what failures are sorted by.
		ctx = refresher.WithAttempt(ctx, new(refresher.Attempt))
	}
	scopes := strings.Fields(target.Scope)
	if len(scopes) == 0 {
		scopes = x.o.Scopes
	}
	if x.o.ServiceAccount == "" {
		return x.direct(ctx, subject, scopes)
	}
	// The federated token only has to open the IAM Credentials API.
	federated, err := x.federate(ctx, subject, []string{CloudPlatform})
	if err != nil {
		return refresher.Credential{}, err
	}
	if target.Audience != "" {
		return x.idToken(ctx, subject, federated.token, target.Audience)
	}
	return x.accessToken(ctx, subject, federated.token, scopes)
}

// direct is federation without a service account: the federated token is the credential.
func (x *Exchanger) direct(ctx context.Context, subject refresher.Token, scopes []string) (refresher.Credential, error) {
	federated, err := x.federate(ctx, subject, scopes)
	if err != nil {
		return refresher.Credential{}, err
	}
	return refresher.Credential{
		Value:   refresher.Bearer{Token: federated.token, Type: refresher.TypeAccessToken},
		Expires: refresher.AttemptFrom(ctx).ServerNow().Add(federated.life),
	}, nil
}
