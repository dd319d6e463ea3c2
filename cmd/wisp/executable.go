package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/endpoints/file"
	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
)

func newExecutable(global *globalFlags) *cobra.Command {
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "executable IDENTITY",
		Short: "Print a subject token for Google's client libraries",
		Long: `executable prints the subject token of an identity with the exchange "subject", as Google's client
libraries want it from the executable of a credential configuration file (wisp adc writes one). They run
it only with GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1. It asks the running wisp first, as get does. With
an output file, which the library names, only one of many runs asks for a token, and the others wait for it.

There is one JSON object on standard output, and nothing on standard error. Exit code 0: it is a token.
1: it says why there is none. 2: so, and it is the configuration's fault.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			p := protocol{output: os.Getenv(execsource.EnvOutputFile), tokenType: os.Getenv(execsource.EnvTokenType)}
			r := request{identity: args[0], provider: os.Getenv(execsource.EnvAudience), timeout: timeout}
			return p.run(command.Context(), global, r, command.OutOrStdout())
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", processPatience, "give up after this long; less than the library's timeout_millis")
	return command
}

// maxDocument is more than any document of the protocol has.
const maxDocument = 64 << 10

// revoke asks an executable to forget what it knows about the user. Only Google's library for Python does.
const revoke = "GOOGLE_EXTERNAL_ACCOUNT_REVOKE"

// A protocol is one run of the executable-source protocol.
type protocol struct {
	output    string // file in which the library looks first; empty: none
	tokenType string // that the library wants; empty: it does not say
}

// run prints a document, and returns what the exit code is made of: an error whose text nobody prints.
func (p protocol) run(ctx context.Context, global *globalFlags, r request, stdout io.Writer) error {
	if os.Getenv(revoke) == "1" {
		_, err := io.WriteString(stdout, `{"version":1,"success":true}`+"\n") // we keep nothing
		return err
	}
	text, err := p.answer(ctx, global, r)
	if err != nil {
		text = format.ExecutableFailure(configurationFailure(err))
		err = &silent{err}
	}
	_, e := stdout.Write(text)
	return errors.Join(err, e)
}

func (p protocol) answer(ctx context.Context, global *globalFlags, r request) ([]byte, error) {
	o, err := newOneShot(global)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if p.output == "" {
		return p.fetch(ctx, o, r)
	}
	unlock, err := file.Lock(ctx, p.output+".lock")
	if err == nil {
		defer unlock()
		if text, err := p.kept(o.config, r); err == nil {
			return text, nil
		}
	}
	text, err := p.fetch(ctx, o, r)
	if err == nil {
		// If it cannot be written, the library gets its token all the same, only later ones ask again.
		_ = file.Write(p.output, text)
	}
	return text, err
}

// kept is the document in the output file, if it is what the library wants and still good.
func (p protocol) kept(c *agent.Config, r request) ([]byte, error) {
	text, err := file.ReadOwn(p.output, maxDocument)
	if err != nil {
		return nil, err
	}
	kept, err := execsource.Parse(text)
	if err != nil || kept.Failure != nil {
		return nil, errors.Join(err, errors.New("it is a failure"))
	}
	credential := refresher.Credential{Value: refresher.Bearer{Token: kept.Token, Type: kept.TokenType}, Expires: kept.Expires}
	if r.provider != "" {
		if c == nil {
			return nil, errors.New("without a configuration only the running wisp knows whom it is for")
		}
		if err := c.CheckProvider(r.identity, r.provider, credential); err != nil {
			return nil, err
		}
	}
	return p.document(credential)
}

func (p protocol) fetch(ctx context.Context, o *oneShot, r request) ([]byte, error) {
	c, err := o.get(ctx, r)
	if err != nil {
		return nil, err
	}
	return p.document(c)
}

// document is a token in the form that the library wants.
func (p protocol) document(c refresher.Credential) ([]byte, error) {
	bearer, ok := c.Value.(refresher.Bearer)
	if !ok || bearer.Type == refresher.TypeAccessToken || bearer.Type == "" {
		return nil, &usageError{errors.New(`this identity yields no subject token; executable is for one with the exchange "subject"`)}
	}
	tokenType := bearer.Type
	if p.tokenType != "" && p.tokenType != tokenType {
		// A JWT may be called both ways; nothing else may be called something else.
		if !execsource.SameKind(p.tokenType, tokenType) {
			return nil, &refresher.Error{
				Class: refresher.Denied, Code: "unsupported_token_type",
				Err: fmt.Errorf("a token of type %.100q was asked for, and the identity has %q", p.tokenType, tokenType),
			}
		}
		tokenType = p.tokenType
	}
	return format.Formats["executable"].Encode(refresher.Credential{
		Value: refresher.Bearer{Token: bearer.Token, Type: tokenType}, Expires: c.Expires,
	}, format.Options{})
}

// configurationFailure gives an error that is none of an exchange a code.
func configurationFailure(err error) error {
	if _, ok := errors.AsType[*refresher.Error](err); ok {
		return err
	}
	return &refresher.Error{Class: refresher.Denied, Code: "invalid_configuration", Err: err}
}

// silent is an error that was told on standard output.
type silent struct{ error }

func (e *silent) Unwrap() error { return e.error }
