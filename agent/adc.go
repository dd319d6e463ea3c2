package agent

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
)

// ExternalAccount returns a Google external_account document, for applications that do the exchange of the
// identity themselves. from is where they get the subject token: a file, a URL such as
// [Config.SubjectTokenURL] returns, or a program; its token has to be the one that the identity's own
// source yields. Headers of a URL are secrets: write such a document with mode 0600.
func (c *Config) ExternalAccount(identity string, from googlests.CredentialSource) ([]byte, error) {
	n := slices.IndexFunc(c.Identities, func(i IdentityConfig) bool { return i.Name == identity })
	if n < 0 {
		return nil, fmt.Errorf("there is no identity %q", identity)
	}
	i := &c.Identities[n]
	google, ok := i.Exchange.Options.(*googleExchange)
	if !ok {
		return nil, fmt.Errorf("identity %q has the exchange %s; an external_account file is for google", identity, i.Exchange.Kind)
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	options := google.options(transport)
	options.SubjectTokenType = cmp.Or(options.SubjectTokenType, i.Source.Options.tokenType())
	text, err := googlests.ExternalAccount{Options: options, Source: from}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("identity %q: %w", identity, err)
	}
	return text, nil
}

// SubjectTokenURL is how the first outlet subjectToken that shows the identity, one with the exchange
// subject, is asked. Like the outlet it makes the secret's file if that is missing.
func (c *Config) SubjectTokenURL(identity string) (*googlests.SubjectURL, error) {
	for n := range c.Outlets {
		outlet, ok := c.Outlets[n].Outlet.Options.(*subjectTokenOutlet)
		if !ok || !slices.Contains(c.Outlets[n].names(), identity) {
			continue
		}
		secret, err := outlet.secret().read()
		if err != nil {
			return nil, fmt.Errorf("outlets[%d]: %w", n, err)
		}
		return &googlests.SubjectURL{
			URL:     at(outlet.Listen, outlet.path(identity)),
			Headers: map[string]refresher.Secret{"Authorization": "Bearer " + secret},
			Field:   outlet.field(),
		}, nil
	}
	return nil, fmt.Errorf("there is no outlet subjectToken for identity %q", identity)
}
