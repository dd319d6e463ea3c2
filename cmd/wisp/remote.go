package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/agent/admin"
)

// remotePatience is how long a command waits for an answer of the running wisp that needs no cloud.
const remotePatience = 10 * time.Second

// client is one of the running wisp's admin socket.
func client(global *globalFlags) (*admin.Client, error) {
	c, _, err := load(global.config)
	if err != nil && global.config != "" {
		return nil, err
	}
	socket := global.socket(c)
	if socket == "" {
		return nil, &usageError{errors.New("no admin socket is known: give --admin PATH, or WISP_ADMIN_SOCKET")}
	}
	return admin.NewClient(socket), nil
}

// remote runs a command against the running wisp.
func remote(global *globalFlags, run func(ctx context.Context, c *admin.Client, args []string, out io.Writer) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		c, err := client(global)
		if err != nil {
			return err
		}
		return run(command.Context(), c, args, command.OutOrStdout())
	}
}

func newStatus(global *globalFlags) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "status",
		Short: "Say how the running wisp is doing",
		Long: `status asks the running wisp, by its admin socket, how its identities are doing.

Exit code 0: every required identity has a usable credential. 1: one has not, or no wisp answers.`,
		Args: cobra.NoArgs,
		RunE: remote(global, func(ctx context.Context, c *admin.Client, _ []string, out io.Writer) error {
			ctx, cancel := context.WithTimeout(ctx, remotePatience)
			defer cancel()
			s, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(out)
				encoder.SetIndent("", "  ")
				err = encoder.Encode(s)
			} else {
				err = printStatus(out, s)
			}
			if err == nil && !s.Ready {
				return errors.New("wisp is not ready")
			}
			return err
		}),
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print everything, as JSON")
	return command
}

func printStatus(out io.Writer, s admin.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "IDENTITY\tSTATE\tEXPIRES IN\tNEXT ATTEMPT IN\tFAILURE")
	for _, i := range s.Identities {
		failure := "-"
		if f := i.Failure; f != nil {
			failure = strings.TrimSuffix(f.Class+" "+f.Code, " ")
			if f.Hint != "" {
				failure += ": " + f.Hint
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", i.Name, i.State, seconds(i.ExpiresIn), seconds(max(0, i.NextAttemptIn)), failure)
	}
	for _, o := range s.Outlets {
		switch {
		case o.Failure != "":
			fmt.Fprintf(w, "%s: %s\n", o.Where, o.Failure)
		case o.Written != nil && !*o.Written:
			fmt.Fprintf(w, "%s is not written yet\n", o.Where)
		}
	}
	return w.Flush()
}

func seconds(n int64) string { return (time.Duration(n) * time.Second).String() }

func newWait(global *globalFlags) *cobra.Command {
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "wait",
		Short: "Wait until the running wisp has every credential",
		Long: `wait asks the running wisp, by its admin socket, until every required identity has a usable credential
and every file is written; it also waits for wisp to start. For an init container, or a script.

Exit code 1: that was not so within the timeout; standard error says what is missing.`,
		Args: cobra.NoArgs,
		RunE: remote(global, func(ctx context.Context, c *admin.Client, _ []string, _ io.Writer) error {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			s, err := c.Wait(ctx)
			if err == nil || len(s.Identities) == 0 {
				return err
			}
			var text strings.Builder
			_ = printStatus(&text, s)
			return fmt.Errorf("wisp is not ready after %v:\n%s", timeout, strings.TrimSuffix(text.String(), "\n"))
		}),
	}
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "give up after this long")
	return command
}

func newRefresh(global *globalFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "refresh [IDENTITY]",
		Short: "Have the running wisp get new credentials now",
		Long: `refresh asks the running wisp, by its admin socket, for new credentials of one identity, or of all. It
does not wait for them, and the old ones stay until they are there. Each identity agrees at most every ten
seconds.`,
		Args: cobra.MaximumNArgs(1),
		RunE: remote(global, func(ctx context.Context, c *admin.Client, args []string, out io.Writer) error {
			ctx, cancel := context.WithTimeout(ctx, remotePatience)
			defer cancel()
			done, err := c.Refresh(ctx, strings.Join(args, ""))
			if errors.Is(err, admin.ErrUnknown) {
				return &usageError{fmt.Errorf("wisp refresh: there is no identity %q", args[0])}
			}
			for _, r := range done {
				result := "not again: the last attempt began less than ten seconds ago"
				if r.Accepted {
					result = "on its way"
				}
				fmt.Fprintf(out, "%s: %s\n", r.Identity, result)
			}
			return err
		}),
	}
}

func newQuit(global *globalFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "quit",
		Short: "End the running wisp, as SIGTERM would",
		Long: `quit tells the running wisp, by its admin socket, to end: for Jobs in clusters without native sidecars,
whose Pod lives as long as its last container. It does not wait for the end.`,
		Args: cobra.NoArgs,
		RunE: remote(global, func(ctx context.Context, c *admin.Client, _ []string, _ io.Writer) error {
			ctx, cancel := context.WithTimeout(ctx, remotePatience)
			defer cancel()
			return c.Quit(ctx)
		}),
	}
}
