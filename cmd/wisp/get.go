package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
)

func newGet(config *string) *cobra.Command {
	var request getRequest
	command := &cobra.Command{
		Use:   "get IDENTITY",
		Short: "Print one credential",
		Long: `get does the exchange of one identity, with the same retries as wisp run, prints the credential on
standard output and ends. Exit code 1 means that there was none within the timeout; standard error says
why.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			request.identity = args[0]
			text, err := get(command.Context(), *config, request)
			if err != nil {
				return err
			}
			_, err = command.OutOrStdout().Write(text)
			return err
		},
	}
	flags := command.Flags()
	flags.StringVarP(&request.format, "format", "f", "json", "one of "+strings.Join(format.Names(), ", "))
	flags.StringVar(&request.scope, "scope", "", "scopes, separated by blanks, instead of the default ones (Google, oauthSTS)")
	flags.StringVar(&request.resource, "resource", "", "resource instead of the default one (Entra)")
	flags.StringVar(&request.audience, "audience", "", "get an ID token for this audience (Google, oauthSTS)")
	flags.DurationVar(&request.timeout, "timeout", 40*time.Second, "give up after this long")
	command.MarkFlagsMutuallyExclusive("scope", "resource", "audience")
	command.PreRunE = func(command *cobra.Command, _ []string) error {
		if err := command.ValidateFlagGroups(); err != nil { // cobra's own check gives a plain error
			return &usageError{fmt.Errorf("wisp get: %w", err)}
		}
		return nil
	}
	return command
}

type getRequest struct {
	identity, format, scope, resource, audience string
	timeout                                     time.Duration
}

// get runs the identities, without any outlet, until there is a credential.
func get(ctx context.Context, config string, r getRequest) ([]byte, error) {
	c, _, err := load(config)
	if err != nil {
		return nil, err
	}
	encoder, known := format.Formats[r.format]
	if !known {
		return nil, &usageError{fmt.Errorf("wisp get: there is no format %q; known are %s", r.format, strings.Join(format.Names(), ", "))}
	}
	c.Only(r.identity)
	a, err := agent.New(c, agent.Options{Version: version})
	if err != nil {
		return nil, err
	}
	identity, known := a.Identity(r.identity)
	if !known {
		return nil, &usageError{fmt.Errorf("wisp get: there is no identity %q", r.identity)}
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	a.RunIdentities(running, group)
	credential, err := identity.Credential(ctx, agent.Target([]string{r.scope}, r.resource, r.audience))
	stop()
	_ = group.Wait()
	if err != nil {
		return nil, explain(r.identity, err)
	}
	text, err := encoder.Encode(credential, a.FormatOptions(r.identity))
	if err != nil {
		return nil, fmt.Errorf("identity %q: %w", r.identity, err)
	}
	return append(bytes.TrimSuffix(text, []byte("\n")), '\n'), nil
}

// explain adds what the reader can do about it.
func explain(identity string, err error) error {
	if hint := refresher.AsError(err).Hint; hint != "" {
		return fmt.Errorf("identity %q: %w\n  hint: %s", identity, err, hint)
	}
	return fmt.Errorf("identity %q: %w", identity, err)
}
