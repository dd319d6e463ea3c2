package pairs

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

var errNotAccepted = errors.New("the cloud does not accept this credential")

func (w *World) awsPrincipal(c refresher.Credential) (string, error) {
	key, _ := c.Value.(refresher.AccessKey)
	if arn, valid := w.AWS.Principal(key.ID, key.Secret.Reveal(), key.SessionToken.Reveal()); valid {
		return arn, nil
	}
	return "", errNotAccepted
}

func (w *World) googlePrincipal(c refresher.Credential) (string, error) {
	if member, valid := w.Google.Principal(bearer(c)); valid {
		return member, nil
	}
	return "", errNotAccepted
}

func (w *World) entraPrincipal(c refresher.Credential) (string, error) {
	token, err := w.Entra.Validate(bearer(c))
	return token.ClientID, err
}

func (w *World) oauthPrincipal(c refresher.Credential) (string, error) {
	token, err := w.OAuth.Validate(bearer(c))
	return token.ClientID + " for " + token.Subject, err
}

func bearer(c refresher.Credential) string {
	b, _ := c.Value.(refresher.Bearer)
	return b.Token.Reveal()
}

// Environ are the variables that some pairs need: those of a GitHub job, of a container with an AWS role,
// and of a shell with AWS keys.
func (w *World) Environ() (map[string]string, error) {
	id, secret, token, _, err := w.AWS.IssueSession(role("machine"), "shell", time.Hour)
	return map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":       w.GitHub.RequestURL(),
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN":     w.GitHub.RequestToken(),
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": w.o.URL + w.Container.Path(),
		"AWS_CONTAINER_AUTHORIZATION_TOKEN":  w.Container.Authorization(),
		"AWS_ACCESS_KEY_ID":                  id,
		"AWS_SECRET_ACCESS_KEY":              secret,
		"AWS_SESSION_TOKEN":                  token,
	}, err
}

func queryEscape(text string) string { return url.QueryEscape(text) }

// Accepts reports whether the cloud takes a credential for whom it is meant to be.
func (p Pair) Accepts(c refresher.Credential) error {
	whom, err := p.Check(c)
	if err == nil && !strings.HasPrefix(whom, p.Whom) {
		err = fmt.Errorf("the cloud takes it for %s, want %s", whom, p.Whom)
	}
	return err
}
