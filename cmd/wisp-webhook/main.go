// Command wisp-webhook is the admission webhook that puts wisp into Pods: it answers the API server's
// question about a new Pod with a patch, a refusal that says why, or nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// The exit codes are those of wisp.
const (
	exitFailed = 1
	exitConfig = 2 // the command line or the policy is wrong
	exitBind   = 3 // a listener cannot be opened
)

func main() {
	klog.SetSlogLogger(slog.New(defaultLog{})) // client-go's
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// defaultLog passes on to what is slog's default then. klog's own logger must not be set once anybody logs, and what client-go has begun
// may do that after it was told to end.
type defaultLog struct{}

func (defaultLog) Enabled(ctx context.Context, level slog.Level) bool {
	return slog.Default().Enabled(ctx, level)
}

func (defaultLog) Handle(ctx context.Context, r slog.Record) error {
	return slog.Default().Handler().Handle(ctx, r)
}

func (defaultLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return slog.Default().Handler().WithAttrs(attrs)
}

func (defaultLog) WithGroup(name string) slog.Handler {
	return slog.Default().Handler().WithGroup(name)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, err)
	return exitCode(err)
}

func exitCode(err error) int {
	if errors.As(err, new(*usageError)) {
		return exitConfig
	}
	if errors.As(err, new(*bindError)) {
		return exitBind
	}
	return exitFailed
}

// A usageError is a command line, or a policy, that cannot be carried out.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// A bindError is a listener that cannot be opened.
type bindError struct{ error }

func (e *bindError) Unwrap() error { return e.error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "wisp-webhook",
		Short: "The admission webhook that puts wisp into Pods",
		Long: `wisp-webhook answers the API server's question about a new Pod. A Pod with the label
wisp-sidecar.github.io/inject: "true" gets wisp as a sidecar, with what its annotations and those of its
ServiceAccount say, or is refused with a sentence that says why. All others are left alone.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return &usageError{errors.New("wisp-webhook: a command is missing: run or version; wisp-webhook --help tells more")}
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newRun(), newVersion())
	return root
}

// usage makes complaints about arguments usage errors.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			return &usageError{fmt.Errorf("%s: %w", command.CommandPath(), err)}
		}
		return nil
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  usage(cobra.NoArgs),
		Run: func(command *cobra.Command, _ []string) {
			fmt.Fprintln(command.OutOrStdout(), "wisp-webhook", version)
		},
	}
}
