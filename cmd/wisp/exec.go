package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/agent"
)

func newExec(global *globalFlags) *cobra.Command {
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "exec -- COMMAND [ARGUMENT]...",
		Short: "Run a command with wisp beside it",
		Long: `exec does what wisp run does, waits until every required identity has a credential, and runs a command
with the environment that wisp env prints. Signals are passed on to the command, and when it ends, so does
wisp, with the command's exit code, or 128 and the signal's number. For Jobs in clusters without native
sidecars, for CI, and for a shell.

Exit code 1: there were no credentials within the timeout, or the command cannot be run.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			signals := make(chan os.Signal, 16)
			signal.Notify(signals) // before anything else; those that are none of ours are dropped
			defer signal.Stop(signals)
			c, a, err := newAgent(global, command.ErrOrStderr())
			if err != nil {
				return err
			}
			e, err := c.ClientEnvironment(agent.ClientEnvironmentOptions{Environ: os.Environ()})
			if errors.Is(err, agent.ErrNoVariables) {
				e, err = &agent.ClientEnvironment{}, nil // its files may be all that the command needs
			}
			if err != nil {
				return fmt.Errorf("wisp exec: %w", err)
			}
			child := exec.Command(args[0], args[1:]...)
			child.Stdin, child.Stdout, child.Stderr = command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr()
			child.Env = e.Apply(os.Environ())
			return beside(command.Context(), a, child, signals, timeout)
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "wait for credentials this long at most")
	return command
}

// An exitError is the end of the command that exec has run.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("the command ended with exit code %d", e.code) }

// beside runs child while the agent runs, once it has every credential.
func beside(ctx context.Context, a *agent.Agent, child *exec.Cmd, signals <-chan os.Signal, timeout time.Duration) error {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	defer func() {
		stop()
		<-ended
	}()
	ready := make(chan error, 1)
	go func() {
		waiting, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		ready <- a.Started(waiting)
	}()
	for waiting := true; waiting; {
		select {
		case err := <-ready:
			if err != nil {
				return err
			}
			waiting = false
		case err := <-ended:
			ended <- err
			return err
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGHUP || s == syscall.SIGQUIT {
				return &exitError{128 + int(s.(syscall.Signal))}
			}
		}
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("wisp exec: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	go reapOrphans(ctx)
	terminal := onTerminal()
	for {
		select {
		case err := <-done:
			return codeOf(err)
		case s := <-signals:
			if forwards(s, terminal) {
				_ = child.Process.Signal(s) // it may just have ended
			}
		}
	}
}

// codeOf is the command's end as wisp's own.
func codeOf(err error) error {
	if err == nil {
		return nil
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return fmt.Errorf("wisp exec: %w", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &exitError{128 + int(status.Signal())}
	}
	return &exitError{exit.ExitCode()}
}
