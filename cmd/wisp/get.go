package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/endpoints/format"
)

func newGet(global *globalFlags) *cobra.Command {
	var r request
	var name, scope, resource, audience, cluster string
	command := &cobra.Command{
		Use:   "get IDENTITY",
		Short: "Print one credential",
		Long: `get prints one credential on standard output and ends. It asks the wisp that runs beside it, by its
admin socket; if none answers there, or one with another configuration, it does the exchange itself,
with the same retries as wisp run. Exit code 1 means that there was none within the timeout; standard
error says why.

As a credential plugin of kubectl and its like, in a kubeconfig:

  exec:
    apiVersion: client.authentication.k8s.io/v1
    interactiveMode: Never
    command: /usr/local/bin/wisp
    args: [get, reports, --format, execCredential, --cluster, prod]`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			r.identity, r.target = args[0], agent.Target([]string{scope}, resource, audience)
			if _, known := format.Formats[name]; !known {
				return &usageError{fmt.Errorf("wisp get: there is no format %q; known are %s", name, strings.Join(format.Names(), ", "))}
			}
			return printCredential(command, global, r, name, cluster)
		},
	}
	flags := command.Flags()
	flags.StringVarP(&name, "format", "f", "json", "one of "+strings.Join(format.Names(), ", "))
	flags.StringVar(&scope, "scope", "", "scopes, separated by blanks, instead of the default ones (Google, oauthSTS)")
	flags.StringVar(&resource, "resource", "", "resource instead of the default one (Entra)")
	flags.StringVar(&audience, "audience", "", "get an ID token for this audience (Google, oauthSTS)")
	flags.StringVar(&cluster, "cluster", "", "EKS cluster that an execCredential is for (AWS)")
	flags.DurationVar(&r.timeout, "timeout", 40*time.Second, "give up after this long")
	command.MarkFlagsMutuallyExclusive("scope", "resource", "audience")
	command.PreRunE = func(command *cobra.Command, _ []string) error {
		if err := command.ValidateFlagGroups(); err != nil { // cobra's own check gives a plain error
			return &usageError{fmt.Errorf("wisp get: %w", err)}
		}
		return nil
	}
	return command
}

// newCredentialProcess is get for the AWS SDKs.
//
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
func newCredentialProcess(global *globalFlags) *cobra.Command {
	var r request
	command := &cobra.Command{
		Use:   "credential-process IDENTITY",
		Short: "Print AWS credentials for an SDK's credential_process",
		Long: `credential-process prints AWS credentials as the SDKs want them from a credential_process of
~/.aws/config. It asks the running wisp first, as get does. Exit code 0 comes with credentials; with any
other there is nothing on standard output and one line on standard error, which SDKs show.

  [profile reports]
  credential_process = /usr/local/bin/wisp credential-process reports --config /etc/wisp/config.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			r.identity = args[0]
			err := printCredential(command, global, r, "credentialProcess", "")
			if err != nil {
				return &oneLine{err}
			}
			return nil
		},
	}
	command.Flags().DurationVar(&r.timeout, "timeout", processPatience, "give up after this long")
	return command
}

// processPatience is how long a program that an SDK runs may take: Google's libraries can be told to give
// up after 5 s, and nobody waits for longer at a prompt.
const processPatience = 4 * time.Second

// printCredential prints a credential as the last line of standard output.
func printCredential(command *cobra.Command, global *globalFlags, r request, formatName, cluster string) error {
	o, err := newOneShot(global)
	if err != nil {
		return err
	}
	c, err := o.get(command.Context(), r)
	if err != nil {
		return agent.Explain(r.identity, err)
	}
	options := format.Options{}
	if o.config != nil {
		options = o.config.FormatOptions(r.identity)
	}
	options.Cluster, options.ExecInfo = cluster, os.Getenv("KUBERNETES_EXEC_INFO")
	text, err := format.Formats[formatName].Encode(c, options)
	if err != nil {
		return fmt.Errorf("identity %q: %w", r.identity, err)
	}
	_, err = command.OutOrStdout().Write(append(bytes.TrimSuffix(text, []byte("\n")), '\n'))
	return err
}

// oneLine makes an error's text fit into the one line that SDKs show: hints, and the problems of a
// configuration, have lines of their own otherwise.
type oneLine struct{ error }

func (e *oneLine) Error() string {
	lines := strings.Split(e.error.Error(), "\n")
	for n := range lines {
		lines[n] = strings.TrimSpace(lines[n])
	}
	return strings.Join(lines, "; ")
}
func (e *oneLine) Unwrap() error { return e.error }
