package main

import (
	"context"
	"errors"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// A shape is what an outlet's answers look like, and who knows whether they are good.
type shape struct {
	parse func([]byte) (fields, error)
	shows []string // the fields worth showing, in order
	key   string   // the field that tells one credential from the next
	// whom asks the cloud whom such a credential stands for; an error if it does not accept it.
	whom func(context.Context, fields) (string, error)
}

// awsKey is what SDKs read at AWS's endpoints.
func (w *world) awsKey() shape {
	return w.accessKey(object, "AccessKeyId", "SecretAccessKey", "Token", "Expiration")
}

// awsSettings is a shared credentials file.
func (w *world) awsSettings() shape {
	return w.accessKey(settings(" = "), "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
}

// awsVariables is a file of variables.
func (w *world) awsVariables() shape {
	return w.accessKey(settings("="), "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION")
}

// awsDocument is wisp's own JSON.
func (w *world) awsDocument() shape {
	return w.accessKey(object, "accessKeyId", "secretAccessKey", "sessionToken", "expiresAt")
}

// accessKey has the key's three parts in the first of the fields that it shows.
func (w *world) accessKey(parse func([]byte) (fields, error), shows ...string) shape {
	return shape{parse, shows, shows[0], func(_ context.Context, f fields) (string, error) {
		if arn, valid := w.aws.Principal(f[shows[0]], f[shows[1]], f[shows[2]]); valid {
			return arn, nil
		}
		return "", errNotAccepted
	}}
}

// googleToken is the answer of the metadata server, and of bearer.
func (w *world) googleToken() shape {
	return shape{object, []string{"access_token", "token_type", "expires_in"}, "access_token", w.googlePrincipal("access_token")}
}

// googleDocument is wisp's own JSON.
func (w *world) googleDocument() shape {
	return shape{object, []string{"token", "expiresAt"}, "token", w.googlePrincipal("token")}
}

// googleBare is an access token and nothing else.
func (w *world) googleBare() shape {
	return shape{bare, []string{"token"}, "token", w.googlePrincipal("token")}
}

func (w *world) googlePrincipal(token string) func(context.Context, fields) (string, error) {
	return func(_ context.Context, f fields) (string, error) {
		if member, valid := w.google.Principal(f[token]); valid {
			return member, nil
		}
		return "", errNotAccepted
	}
}

// idToken is read as the service does that it is for, if not as thoroughly.
func idToken() shape {
	return shape{bare, []string{"token"}, "token", func(_ context.Context, f fields) (string, error) {
		claims, err := refresher.ParseClaims(refresher.Secret(f["token"]))
		return describe(claims.Subject, claims.Audience), err
	}}
}

// entraToken is the answer of all of Azure's endpoints.
func (w *world) entraToken() shape {
	return shape{object, []string{"access_token", "resource", "expires_on"}, "access_token", w.entraPrincipal}
}

// entraBearer is that of bearer.
func (w *world) entraBearer() shape {
	return shape{object, []string{"access_token", "token_type", "expires_in"}, "access_token", w.entraPrincipal}
}

func (w *world) entraPrincipal(_ context.Context, f fields) (string, error) {
	token, err := w.entra.Validate(f["access_token"])
	if err != nil {
		return "", errors.Join(errNotAccepted, err)
	}
	return "client " + token.ClientID + " at " + token.Audience, nil
}

// subjectToken is a token of the cluster. A cloud verifies it like this before it exchanges it.
func (w *world) subjectToken(audience string) shape {
	verifier := cloudtest.NewVerifier(cloudtest.VerifierOptions{})
	trust := cloudtest.Trust{Issuer: w.issuer.URL(), Audiences: []string{audience}}
	return shape{bare, []string{"token"}, "token", func(ctx context.Context, f fields) (string, error) {
		token, err := verifier.Verify(ctx, f["token"], trust)
		if err != nil {
			return "", errors.Join(errNotAccepted, err)
		}
		return describe(token.Subject, token.Audience), nil
	}}
}

func describe(subject string, audience []string) string {
	return "subject " + subject + " at " + strings.Join(audience, ", ")
}

var errNotAccepted = errors.New("the cloud does not accept this credential")
