// Command wisp is the workload identity sidecar proxy: it trades the workload's projected
// service-account token for cloud credentials, keeps them fresh, and shows them to programs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/agent/admin"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// The exit codes. Nothing that a cloud does ends wisp run: that would only turn a cloud's problem
// into a crash loop.
const (
	exitFailed = 1 // a one-shot command did not get what it was asked for
	exitConfig = 2 // the command line or the configuration is wrong
	exitBind   = 3 // a listener cannot be opened
)

func main() {
	harden()
	if os.Getenv("GOGC") == "" {
		// A sidecar's memory is paid for in every Pod. The live heap is small, so collecting it more
		// often than Go would costs next to nothing and keeps a quarter of the memory away.
		debug.SetGCPercent(25)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
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
	if !told(err) {
		fmt.Fprintln(stderr, err)
	}
	return exitCode(err)
}

// told: whoever has to know knows already.
func told(err error) bool {
	return errors.As(err, new(*silent)) || errors.As(err, new(*exitError))
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*agent.ConfigError](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[*agent.BindError](err); ok {
		return exitBind
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitConfig
	}
	return exitFailed
}

// A usageError is a command line that cannot be carried out.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "wisp",
		Short: "Workload identity for AWS, Google Cloud and Azure, from one rotating token",
		Long: `wisp runs beside an application, trades the workload's projected service-account token for
credentials of AWS, Google Cloud and Microsoft Entra, keeps them fresh, and shows them in the forms
that SDKs and command-line tools already understand.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	global := &globalFlags{}
	flags := root.PersistentFlags()
	flags.StringVarP(&global.config, "config", "c", os.Getenv("WISP_CONFIG"),
		"configuration file; without one the environment is asked (WISP_CONFIG)")
	flags.StringVar(&global.admin, "admin", os.Getenv(admin.EnvSocket),
		"admin socket of the running wisp, or off (default: that of the configuration; "+admin.EnvSocket+")")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newRun(global), newCheck(global), newVersion(),
		newGet(global), newCredentialProcess(global), newExecutable(global), newADC(global),
		newEnv(global), newExec(global), newInject(), newLinkLocal(),
		newWait(global), newStatus(global), newRefresh(global), newQuit(global))
	for _, command := range root.Commands() {
		command.Args = usage(command.Args)
	}
	root.Args = usage(root.Args)
	root.RunE = func(*cobra.Command, []string) error {
		return &usageError{errors.New("wisp: a command is missing: run, check, get, env, exec …; wisp --help lists them")}
	}
	return root
}

// globalFlags are those that every command has.
type globalFlags struct {
	config string // file; empty: the environment is asked
	admin  string // socket
}

// socket is the admin socket of the running wisp, of which c, which may be nil, is believed to be the
// configuration. Empty: there is none, or it is not to be asked.
func (f *globalFlags) socket(c *agent.Config) string {
	switch {
	case f.admin == "off":
		return ""
	case f.admin != "":
		return f.admin
	case c != nil:
		return c.AdminSocket()
	}
	return admin.DefaultSocket(os.Getenv)
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

// load reads the configuration file, or asks the environment if there is none.
func load(config string) (*agent.Config, []agent.Finding, error) {
	if config != "" {
		c, err := agent.LoadIn(agent.ProcessEnvironment(), config)
		return c, nil, err
	}
	return agent.Detect(agent.ProcessEnvironment())
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(command *cobra.Command, _ []string) {
			fmt.Fprintln(command.OutOrStdout(), "wisp", version)
		},
	}
}
