package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newCheck(global *globalFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say what wisp would do, and what is wrong with the configuration",
		Long: `check reads the configuration, or asks the environment if there is none, and prints what it amounts
to. It sends nothing and changes nothing.

Exit code 0: all is well. 1: there are warnings. 2: the configuration cannot be used; every problem is
listed with its line and path.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, findings, err := load(global.config)
			out := command.OutOrStdout()
			for _, f := range findings {
				fmt.Fprintln(out, "found", f)
			}
			if err != nil {
				return err
			}
			c.Summary(out)
			warnings := c.Warnings()
			for _, warning := range warnings {
				fmt.Fprintln(command.ErrOrStderr(), "warning:", warning)
			}
			if len(warnings) > 0 {
				return errors.New("there are warnings")
			}
			return nil
		},
	}
}
