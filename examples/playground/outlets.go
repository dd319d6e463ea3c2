package main

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// An outlet is one of wisp's, with how an application uses it and what it gets.
type outlet struct {
	kind     string
	identity string

	url    string // an HTTP outlet's
	header header
	file   string // a file outlet's, instead of url and header

	parse func([]byte) (fields, error)
	shows []string // the fields worth showing, in order
	key   string   // the field that tells one credential from the next
	// whom asks the cloud whom such a credential stands for; an error if it does not accept it.
	whom func(fields) (string, error)
}

// A header is the one that an outlet demands: with a value, or with what is in a file.
type header struct{ name, value, file string }

// outlets are all those of the configuration. Addresses and secrets come from env.sh, as they do for
// any client.
func outlets(dir directory, env map[string]string, w *world) []outlet {
	const arm, vault, audience = "https://management.azure.com/", "https://vault.azure.net", "https://reports.example"
	account := "http://" + env["GCE_METADATA_HOST"] + "/computeMetadata/v1/instance/service-accounts/default"
	flavor := header{name: "Metadata-Flavor", value: "Google"}
	return []outlet{
		{
			kind: "awsContainer", identity: "aws",
			url:    env["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
			header: header{name: "Authorization", file: env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]},
			parse:  object,
			shows:  []string{"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}, key: "AccessKeyId",
			whom: w.awsPrincipal("AccessKeyId", "SecretAccessKey", "Token"),
		},
		{
			kind: "file", identity: "aws",
			file:  dir.file(awsOut),
			parse: settings,
			shows: []string{"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}, key: "aws_access_key_id",
			whom: w.awsPrincipal("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
		},
		{
			kind: "gceMetadata", identity: "google",
			url:    account + "/token",
			header: flavor,
			parse:  object,
			shows:  []string{"access_token", "token_type", "expires_in"}, key: "access_token",
			whom: w.googlePrincipal("access_token"),
		},
		{
			kind: "gceMetadata", identity: "google",
			url:    account + "/identity?audience=" + audience,
			header: flavor,
			parse:  bare,
			shows:  []string{"token"}, key: "token",
			whom: idTokenAudience,
		},
		{
			kind: "file", identity: "google",
			file:  dir.file(googleOut),
			parse: object,
			shows: []string{"token", "expiresAt"}, key: "token",
			whom: w.googlePrincipal("token"),
		},
		{
			kind: "appService", identity: "azure",
			url:    env["IDENTITY_ENDPOINT"] + "?api-version=2019-08-01&resource=" + url.QueryEscape(vault),
			header: header{name: "X-IDENTITY-HEADER", value: env["IDENTITY_HEADER"]},
			parse:  object,
			shows:  []string{"access_token", "resource", "expires_on"}, key: "access_token",
			whom: w.entraPrincipal,
		},
		{
			kind: "azureIMDS", identity: "azure",
			url:    env["AZURE_POD_IDENTITY_AUTHORITY_HOST"] + azureIMDSPath + "?api-version=2018-02-01&resource=" + url.QueryEscape(arm),
			header: header{name: "Metadata", value: "true"},
			parse:  object,
			shows:  []string{"access_token", "resource", "expires_on"}, key: "access_token",
			whom: w.entraPrincipal,
		},
	}
}

var errNotAccepted = errors.New("the cloud does not accept this credential")

func (w *world) awsPrincipal(id, secret, token string) func(fields) (string, error) {
	return func(f fields) (string, error) {
		if arn, valid := w.aws.Principal(f[id], f[secret], f[token]); valid {
			return arn, nil
		}
		return "", errNotAccepted
	}
}

func (w *world) googlePrincipal(token string) func(fields) (string, error) {
	return func(f fields) (string, error) {
		if member, valid := w.google.Principal(f[token]); valid {
			return member, nil
		}
		return "", errNotAccepted
	}
}

func (w *world) entraPrincipal(f fields) (string, error) {
	token, err := w.entra.Validate(f["access_token"])
	if err != nil {
		return "", errors.Join(errNotAccepted, err)
	}
	return "client " + token.ClientID + " at " + token.Audience, nil
}

// idTokenAudience reads an ID token as the service does that it is for, if not as thoroughly.
func idTokenAudience(f fields) (string, error) {
	claims, err := refresher.ParseClaims(refresher.Secret(f["token"]))
	return "subject " + claims.Subject + " at " + strings.Join(claims.Audience, ", "), err
}

// name tells an outlet from the others of its kind.
func (o outlet) name() string {
	switch {
	case o.file != "":
		return filepath.Base(o.file)
	case strings.Contains(o.url, "/identity?"):
		return o.kind + " (ID token)"
	}
	return o.kind
}
