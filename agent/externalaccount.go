package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
)

// readExternalAccounts puts source and exchange into the identities that leave both to a file.
func (c *Config) readExternalAccounts(p *problems) {
	for n := range c.Identities {
		i := &c.Identities[n]
		if i.External == nil {
			continue
		}
		identity := fmt.Sprintf("identities[%d]", n)
		path := identity + ".externalAccount"
		// What is missing there is told here.
		p.unread[identity+".source"], p.unread[identity+".exchange"] = true, true
		if i.Source.Kind != "" || i.Exchange.Kind != "" {
			p.at(path, "says what source and exchange are; leave those out")
			continue
		}
		if !filepath.IsAbs(i.External.Path) {
			p.at(path+".path", "must be an absolute path")
			continue
		}
		document, err := readDocument(i.External.Path)
		if err != nil {
			p.at(path+".path", "cannot be read: %v", err)
			continue
		}
		var list []refresher.FieldError
		i.Source, i.Exchange, list = fromExternalAccount(document, i.External.AllowExecutable)
		for _, problem := range list {
			p.at(path, "%s: %v", i.External.Path, problem)
		}
	}
}

// readDocument reads a file of a size that is plausible for a configuration.
func readDocument(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // without the path
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = fmt.Errorf("larger than %d KiB", maxConfig>>10)
	}
	return text, err
}

// fromExternalAccount makes source and exchange of a Google external_account document. Programs are
// run only by permission: the document comes from elsewhere, and reads like data.
func fromExternalAccount(document []byte, allowExecutable bool) (sourceChoice, exchangeChoice, []refresher.FieldError) {
	account, list := googlests.FromExternalAccount(document)
	if len(list) > 0 {
		return sourceChoice{}, exchangeChoice{}, list
	}
	o := account.Options
	exchange := &googleExchange{
		Audience: o.Audience, ServiceAccount: o.ServiceAccount, Lifetime: o.Lifetime,
		Scopes: o.Scopes, QuotaProject: o.QuotaProject, UserProject: o.UserProject, SubjectTokenType: o.SubjectTokenType,
		UniverseDomain: o.UniverseDomain, TokenURL: o.TokenURL, ImpersonationURL: o.ImpersonationURL,
		ClientID: o.ClientID,
	}
	if o.ClientSecret != "" {
		exchange.clientSecret = &o.ClientSecret
	}
	var source sourceChoice
	switch from, kind := account.Source, shortType(o.SubjectTokenType); {
	case from.File != nil:
		source = sourceOf("file", &fileSource{
			Path: absolute(from.File.Path), Format: documentFormat(from.File.Field), Field: from.File.Field, Type: kind,
		})
	case from.URL != nil:
		source = sourceOf("url", &urlSource{
			URL: from.URL.URL, Headers: from.URL.Headers, Format: documentFormat(from.URL.Field), Field: from.URL.Field, Type: kind,
		})
	case from.AWS != nil:
		source = sourceOf("awsCallerIdentity", &awsCallerSource{
			RegionURL: from.AWS.RegionURL, CredentialsURL: from.AWS.CredentialsURL,
			VerificationURL: from.AWS.VerificationURL, SessionTokenURL: from.AWS.SessionTokenURL,
		})
	case from.Executable != nil && !allowExecutable:
		return sourceChoice{}, exchangeChoice{}, []refresher.FieldError{{
			Field:   "credential_source.executable",
			Problem: "names a program to run, which has to be permitted: set GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1, or allowExecutable: true in wisp's own configuration",
		}}
	case from.Executable != nil:
		source = sourceOf("executable", &executableSource{
			// As the libraries do it: there is no quoting.
			Command: strings.Fields(from.Executable.Command), Timeout: from.Executable.Timeout,
			OutputFile: absolute(from.Executable.OutputFile), Type: kind,
		})
	}
	return source, exchangeOf("google", exchange), nil
}

func documentFormat(field string) string {
	if field != "" {
		return "json"
	}
	return ""
}

// absolute is how the libraries read a relative path in an external_account file: from the working
// directory.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

func sourceOf(kind string, o sourceOptions) sourceChoice {
	return sourceChoice{oneOf[sourceOptions]{kind, o}}
}

func exchangeOf(kind string, o exchangeOptions) exchangeChoice {
	return exchangeChoice{oneOf[exchangeOptions]{kind, o}}
}

func outletOf(kind string, o outletOptions) outletChoice {
	return outletChoice{oneOf[outletOptions]{kind, o}}
}
