package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/endpoints/file"
)

func newADC(global *globalFlags) *cobra.Command {
	var o agent.ADCOptions
	var output string
	command := &cobra.Command{
		Use:   "adc IDENTITY",
		Short: "Write a credential configuration file for Google's client libraries",
		Long: `adc prints an external_account document, as gcloud's create-cred-config writes them, for an identity with
the exchange "google". A library or gcloud that is given it (GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth
login --cred-file) does the exchange itself, and gets the subject token

  file        from the file where wisp gets it,
  url         from the outlet subjectToken: the document then has that outlet's secret in it,
  executable  from wisp executable: libraries run it with GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 only.

The latter two need an identity with the same source and the exchange "subject".`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			c, _, err := load(global.config)
			if err != nil {
				return err
			}
			text, err := c.ADC(args[0], o)
			if err != nil {
				return &usageError{fmt.Errorf("wisp adc: %w", err)}
			}
			if output == "" {
				_, err = command.OutOrStdout().Write(text)
				return err
			}
			path, err := filepath.Abs(output)
			if err := errors.Join(err, file.Write(path, text)); err != nil {
				return fmt.Errorf("write %s: %w", output, err)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.From, "from", "", "file, url or executable (default: the first of these that the configuration has)")
	flags.StringVar(&o.Subject, "subject", "", "identity that shows the token (default: the one with the same source)")
	flags.StringVarP(&output, "output", "o", "", "write this file, with mode 0600, instead of standard output")
	flags.StringVar(&o.OutputFile, "output-file", "", "absolute path of the file in which wisp executable keeps the token between runs")
	flags.DurationVar(&o.Timeout, "timeout", 30*time.Second, "what a library gives wisp executable, 5s to 2m")
	return command
}
