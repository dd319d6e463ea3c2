package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/agent"
)

func newEnv(global *globalFlags) *cobra.Command {
	var o agent.ClientEnvironmentOptions
	var format string
	command := &cobra.Command{
		Use:   "env [IDENTITY]",
		Short: "Print the variables that lead an application's clients to wisp",
		Long: `env prints the environment variables that lead SDKs and command-line tools to the outlets of the
configuration, or to those of one identity. In the formats for shells it also unsets what clients would
believe before wisp. Where such a variable is set in the present environment, a warning on standard error
says so; it needs no running wisp, but makes the secret files that wisp run would make.

  eval "$(wisp env -c wisp.yaml)"
  wisp env -c wisp.yaml --format fish | source
  wisp env -c wisp.yaml --format powershell | Out-String | Invoke-Expression
  wisp env -c wisp.yaml reports --format k8s`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			c, _, err := load(global.config)
			if err != nil {
				return err
			}
			o.Identity, o.Environ = strings.Join(args, ""), os.Environ()
			if format == "k8s" {
				o.Environ, o.WithoutSecrets = nil, true // it is for elsewhere
			}
			e, err := c.ClientEnvironment(o)
			if err != nil {
				return &usageError{fmt.Errorf("wisp env: %w", err)}
			}
			text, err := e.Encode(format)
			if err != nil {
				return &usageError{fmt.Errorf("wisp env: %w", err)}
			}
			for _, warning := range e.Warnings {
				fmt.Fprintln(command.ErrOrStderr(), "warning:", warning)
			}
			_, err = fmt.Fprint(command.OutOrStdout(), text)
			return err
		},
	}
	command.Flags().StringVarP(&format, "format", "f", "sh", "one of "+strings.Join(agent.EnvironmentFormats(), ", "))
	command.Flags().StringVar(&o.Outlet, "outlet", "", "only the outlets of this kind: awsContainer, gceMetadata …")
	return command
}
