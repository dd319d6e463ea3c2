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

func newRun(config *string) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Keep credentials fresh and serve them until told to stop",
		Long: `run keeps the credentials of all configured identities fresh and serves them.

SIGTERM or SIGINT: go on serving for a moment, then end with exit code 0; a second one ends at once.
SIGUSR1: get new credentials now.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, findings, err := load(*config)
			if err != nil {
				return err
			}
			log := newLogger(c.Log, command.ErrOrStderr())
			for _, f := range findings {
				log.Info("found in the environment", "cloud", f.Cloud, "variables", f.From, "is", f.What)
			}
			for _, warning := range c.Warnings() {
				log.Warn(warning)
			}
			a, err := agent.New(c, agent.Options{Log: log, Version: version})
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(command.Context())
			defer stop()
			go obey(ctx, a, stop)
			return a.Run(ctx)
		},
	}
}

// obey turns signals into calls, until ctx ends.
func obey(ctx context.Context, a *agent.Agent, stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	defer signal.Stop(signals)
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
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
