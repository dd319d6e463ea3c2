package agent

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
)

// ADCOptions say where applications get the subject token.
type ADCOptions struct {
	// From is "file", "url" or "executable"; empty takes the first of these that the configuration has.
	From string
	// Subject is the identity with the exchange subject that a URL or program shows; empty takes the one that
	// has the same source.
	Subject string
	// OutputFile is where a program keeps its last answer, an absolute path; empty: nowhere.
	OutputFile string
	// Timeout is what a program is given, 5 s to 2 min; 0 means 30 s.
	Timeout time.Duration
}

// ADC returns a Google external_account document, application default credentials, for applications that do
// the exchange of an identity themselves. One that leads to the outlet subjectToken has its secret in it: write
// it with mode 0600. As the outlet does, it makes the secret's file if that is missing.
func (c *Config) ADC(name string, o ADCOptions) ([]byte, error) {
	n := slices.IndexFunc(c.Identities, func(i IdentityConfig) bool { return i.Name == name })
	if n < 0 {
		return nil, fmt.Errorf("there is no identity %q", name)
	}
	identity := &c.Identities[n]
	var failures []error
	for _, from := range []struct {
		name   string
		source func() (googlests.CredentialSource, error)
	}{
		{"file", func() (googlests.CredentialSource, error) { return identity.fileForLibraries() }},
		{"url", func() (googlests.CredentialSource, error) {
			subject, err := c.subjectOf(identity, o.Subject)
			if err != nil {
				return googlests.CredentialSource{}, err
			}
			url, err := c.subjectTokenURL(subject)
			return googlests.CredentialSource{URL: url}, err
		}},
		{"executable", func() (googlests.CredentialSource, error) {
			subject, err := c.subjectOf(identity, o.Subject)
			if err != nil {
				return googlests.CredentialSource{}, err
			}
			return c.executable(subject, o)
		}},
	} {
		if o.From != "" && o.From != from.name {
			continue
		}
		source, err := from.source()
		if err == nil {
			return c.externalAccount(identity, source)
		}
		failures = append(failures, fmt.Errorf("%s: %w", from.name, err))
	}
	if len(failures) == 0 {
		return nil, fmt.Errorf("libraries get a token from a file, a url or an executable, not from %q", o.From)
	}
	return nil, errors.Join(failures...)
}

// externalAccount writes the document for an identity, whose own source has to yield the same token as from.
func (c *Config) externalAccount(i *IdentityConfig, from googlests.CredentialSource) ([]byte, error) {
	google, ok := i.Exchange.Options.(*googleExchange)
	if !ok {
		return nil, fmt.Errorf("identity %q has the exchange %s; an external_account file is for google", i.Name, i.Exchange.Kind)
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	options := google.options(transport)
	options.SubjectTokenType = cmp.Or(options.SubjectTokenType, i.Source.Options.tokenType())
	text, err := googlests.ExternalAccount{Options: options, Source: from}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("identity %q: %w", i.Name, err)
	}
	return text, nil
}

// subjectTokenURL is how the first outlet subjectToken that shows the identity, one with the exchange
// subject, is asked. Like the outlet it makes the secret's file if that is missing.
func (c *Config) subjectTokenURL(identity string) (*googlests.SubjectURL, error) {
	for n := range c.Outlets {
		outlet, ok := c.Outlets[n].Outlet.Options.(*subjectTokenOutlet)
		if !ok || !slices.Contains(c.Outlets[n].names(), identity) {
			continue
		}
		secret, err := c.secret(outlet.secret())
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

func (c *IdentityConfig) fileForLibraries() (googlests.CredentialSource, error) {
	file, ok := c.Source.Options.(*fileSource)
	if !ok {
		return googlests.CredentialSource{}, fmt.Errorf("the token of identity %q is in no file, but comes from %s", c.Name, c.Source.Kind)
	}
	return googlests.CredentialSource{File: &googlests.SubjectFile{Path: file.Path, Field: file.Field}}, nil
}

// subjectOf is the identity that shows the token which another one exchanges.
func (c *Config) subjectOf(i *IdentityConfig, name string) (string, error) {
	for n := range c.Identities {
		other := &c.Identities[n]
		if _, ok := other.Exchange.Options.(*subjectExchange); !ok {
			if other.Name == name {
				return "", fmt.Errorf("identity %q has the exchange %s, not subject", name, other.Exchange.Kind)
			}
			continue
		}
		if other.Name == name || name == "" && reflect.DeepEqual(other.Source.Options, i.Source.Options) {
			return other.Name, nil
		}
	}
	if name != "" {
		return "", fmt.Errorf("there is no identity %q", name)
	}
	return "", fmt.Errorf("no identity shows the token of %q: add one with the same source and exchange: {subject: {}}, or name another", i.Name)
}

// executable is this very program with this very configuration.
func (c *Config) executable(subject string, o ADCOptions) (googlests.CredentialSource, error) {
	program, err := os.Executable()
	if err != nil {
		return googlests.CredentialSource{}, err
	}
	arguments := []string{program, "executable", subject}
	if c.path != "" {
		arguments = append(arguments, "--config", c.path)
	}
	command, err := googlests.CommandLine(arguments...)
	return googlests.CredentialSource{Executable: &googlests.SubjectExecutable{
		Command: command, Timeout: cmp.Or(o.Timeout, 30*time.Second), OutputFile: o.OutputFile,
	}}, err
}
