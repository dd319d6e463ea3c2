package googlests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A federatedToken is what the token service gives for the subject token.
type federatedToken struct {
	token refresher.Secret
	life  time.Duration // from the moment the service answered
}

// federate is the token exchange proper (RFC 8693).
//
// The library's TokenSource keeps its context and its token, and would hand out the old token until
// ten seconds before it expires: hence a new one each time.
func (x *Exchanger) federate(ctx context.Context, subject refresher.Token, scopes []string) (federatedToken, error) {
	wire := &lastError{base: x.client.Transport}
	client := *x.client
	client.Transport = wire
	config := externalaccount.Config{
		Audience:             x.o.Audience,
		SubjectTokenType:     x.subjectType(subject),
		TokenURL:             x.o.TokenURL,
		ClientID:             x.o.ClientID,
		ClientSecret:         x.o.ClientSecret.Reveal(),
		Scopes:               scopes,
		SubjectTokenSupplier: supplier{subject.Raw},
		// The library leaves it out if there is a client: that has a project of its own.
		WorkforcePoolUserProject: x.o.UserProject,
	}
	source, err := externalaccount.NewTokenSource(context.WithValue(ctx, oauth2.HTTPClient, &client), config)
	if err != nil {
		// About the configuration only, which Check should have refused.
		return federatedToken{}, &refresher.Error{Class: refresher.Denied, Err: err}
	}
	token, err := source.Token()
	if err != nil {
		return federatedToken{}, x.federateError(ctx, wire.err, subject)
	}
	// The library turns expires_in into a time by its own clock at once; turn it back.
	f := federatedToken{
		token: refresher.Secret(token.AccessToken),
		life:  time.Until(token.Expiry).Round(time.Second),
	}
	if f.token == "" || f.life <= 0 {
		return federatedToken{}, badAnswer("token exchange", errors.New("no access token, or one without a life"))
	}
	return f, nil
}

// federateError finds out why the library failed. Its error is of no use: it is text without a type,
// and the text holds the whole answer.
func (x *Exchanger) federateError(ctx context.Context, network error, subject refresher.Token) error {
	const step = "token exchange"
	if network != nil {
		return atStep(step, upstream.NetworkError(&url.Error{Op: "Post", URL: x.o.TokenURL, Err: network}))
	}
	if refresher.AttemptFrom(ctx).Data().Status/100 == 2 {
		return badAnswer(step, errors.New("the answer was cut off, or is not a token with a positive integer expires_in"))
	}
	return atStep(step, x.tokenRefusal(ctx, subject))
}

// supplier hands the library the one token of this exchange.
type supplier struct{ raw refresher.Secret }

func (s supplier) SubjectToken(context.Context, externalaccount.SupplierOptions) (string, error) {
	return s.raw.Reveal(), nil
}

// lastError remembers the error of a request, which the library flattens into text. It serves one
// exchange, and is not safe for concurrent use.
type lastError struct {
	base http.RoundTripper
	err  error
}

func (l *lastError) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.base.RoundTrip(req)
	l.err = err
	return resp, err
}

// atStep says in e which of the two steps failed.
func atStep(step string, e *refresher.Error) *refresher.Error {
	e.Err = fmt.Errorf("%s: %w", step, e.Err)
	return e
}

// badAnswer is a success that is none. It counts as passing: a broken proxy or a bad deployment of
// the service. The present credential stays.
func badAnswer(step string, err error) error {
	return atStep(step, &refresher.Error{Class: refresher.Transient, Code: refresher.CodeBadCredential, Err: err})
}
