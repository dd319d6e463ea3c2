package agent

import (
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// executableSource is a program that prints a subject token, as Google's client libraries run it.
type executableSource struct {
	Command    []string      `yaml:"command" doc:"the program's absolute path and its arguments; no shell is involved (required)"`
	Timeout    time.Duration `yaml:"timeout" doc:"how long it may take, 5s to 2m (default 30s)"`
	OutputFile string        `yaml:"outputFile" doc:"absolute path of a file where the program keeps its last answer; while that is good the program is not run"`
	Env        []string      `yaml:"env" doc:"names of wisp's own environment variables that the program gets besides HOME, LANG, PATH and those of the protocol"`
	Type       string        `yaml:"type" doc:"jwt, id_token or saml2 (default jwt)"`
	Audience   string        `yaml:"audience" doc:"what the program is told in GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE (default: the audience that the exchange expects; required with oauthSTS)"`
}

func (o *executableSource) options(x exchangeOptions, lookup func(string) (string, bool)) source.ExecutableOptions {
	options := source.ExecutableOptions{
		Command: o.Command, Timeout: o.Timeout, OutputFile: o.OutputFile, Env: o.Env,
		TokenType: o.tokenType(), Audience: audienceFor(o.Audience, x), LookupEnv: lookup,
	}
	if google, ok := x.(*googleExchange); ok {
		// Here the protocol wants the provider's name, not the audience of tokens.
		options.ImpersonatedEmail = google.ServiceAccount
		if o.Audience == "" {
			options.Audience = google.Audience
		}
	}
	return options
}

func (o *executableSource) check(x exchangeOptions, _ *upstream.Transport) []refresher.FieldError {
	if list := checkType(o.Type, "jwt", "id_token", "saml2"); len(list) > 0 {
		return list
	}
	return o.options(x, nil).Check()
}

func (o *executableSource) tokenType() string { return tokenTypes[o.Type] }

func (o *executableSource) source(s surroundings, x exchangeOptions) (refresher.Source, error) {
	return madeSource(source.NewExecutable(o.options(x, func(name string) (string, bool) { value := s.getenv(name); return value, value != "" })))
}
