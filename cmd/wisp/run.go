package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/agent"
)

func newRun(global *globalFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Keep credentials fresh and serve them until told to stop",
		Long: `run keeps the credentials of all configured identities fresh and serves them.

SIGTERM or SIGINT: go on serving for a moment, then end with exit code 0; a second one ends at once.
SIGUSR1: get new credentials now.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			// Before anything else: as the first process of a container wisp would not even notice.
			signals := make(chan os.Signal, 4)
			signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
			defer signal.Stop(signals)
			_, a, err := newAgent(global, command.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(command.Context())
			defer stop()
			go obey(ctx, signals, a, stop)
			return a.Run(ctx)
		},
	}
}

// newAgent makes the agent of the configuration, which logs to stderr, and tells what there is to say of it.
func newAgent(global *globalFlags, stderr io.Writer) (*agent.Config, *agent.Agent, error) {
	c, findings, err := load(global.config)
	if err != nil {
		return nil, nil, err
	}
	log := newLogger(c.Log, stderr)
	// For libraries that write to the standard log: the one for metrics does where /proc/self/io
	// cannot be read, which is so after harden.
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(log)
	for _, f := range findings {
		log.Info("found in the environment", "what", f.Name, "variables", f.From, "is", f.What, "outlet", f.Outlet)
	}
	for _, warning := range c.Warnings() {
		log.Warn(warning)
	}
	a, err := agent.New(c, agent.Options{Log: log, Version: version, HostNetwork: onHostNetwork(os.Getenv)})
	return c, a, err
}

// onHostNetwork: the Pod has the node's address. The manifest has to give both as fieldRefs
// (status.podIP and status.hostIP); a process cannot tell by itself.
func onHostNetwork(getenv func(string) string) bool {
	pod := getenv("WISP_POD_IP")
	return pod != "" && pod == getenv("WISP_HOST_IP")
}

// obey turns signals into calls, until ctx ends.
func obey(ctx context.Context, signals <-chan os.Signal, a *agent.Agent, stop func()) {
	ending := false
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			switch {
			case s == syscall.SIGUSR1:
				a.Refresh()
			case ending:
				stop()
			default:
				ending = true
				a.Quit()
			}
		}
	}
}

func newLogger(c agent.LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked with the configuration; empty is info
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: durationsAsText}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// durationsAsText writes "23m24s" where JSON would have nanoseconds.
func durationsAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
