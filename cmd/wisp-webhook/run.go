package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

func newRun() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "run",
		Short: "Answer admission reviews until told to stop",
		Long: `run answers POST /inject over HTTPS.

SIGTERM or SIGINT: say on /readyz that this is the end, go on answering while the cluster takes note, then end
with exit code 0; a second one ends at once. Exit code 2: the command line or the policy is wrong, and every
problem is listed. 3: an address cannot be listened on.`,
		Args: usage(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			// Before anything else: as the first process of a container we would not even notice.
			signals := make(chan os.Signal, 4)
			signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
			defer signal.Stop(signals)
			policy, err := o.validate()
			if err != nil {
				return &usageError{err}
			}
			var level slog.Level
			_ = level.UnmarshalText([]byte(o.logLevel)) // validated
			log := slog.New(slog.NewJSONHandler(command.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			slog.SetDefault(log) // and client-go's, see main
			return o.run(command.Context(), policy, log, signals)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.policy, "policy", "", "file of what to inject, JSON (required)")
	flags.StringVar(&o.tlsDir, "tls-dir", "", "directory of tls.crt and tls.key, a mounted Secret; they may change at any time (required)")
	flags.StringVar(&o.listen, "listen", ":8443", "address of POST /inject, HTTPS")
	flags.StringVar(&o.health, "health", ":8080", "address of /livez, /readyz and /metrics, HTTP")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server (default: as a Pod of its cluster)")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error; debug shows the sentences of refusals, which quote annotations")
	flags.IntVar(&o.maxInFlight, "max-in-flight", 32, "reviews that are worked on at once; more wait")
	flags.DurationVar(&o.drain, "drain", 5*time.Second, "go on for this long after SIGTERM: until then the cluster may send reviews")
	return command
}

// options are the flags of run.
type options struct {
	policy, tlsDir, listen, health, kubeconfig, logLevel string

	maxInFlight int
	drain       time.Duration
}

// validate returns the policy, or everything that is wrong with it and with the flags.
func (o *options) validate() (*inject.Policy, error) {
	var problems []error
	complain := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("wisp-webhook run: "+format, args...))
	}
	var policy *inject.Policy
	if o.policy == "" {
		complain("--policy is missing")
	} else if text, err := os.ReadFile(o.policy); err != nil {
		complain("--policy: %w", err)
	} else if policy, err = inject.ParsePolicy(text); err != nil {
		complain("--policy %s: %w", o.policy, err)
	}
	if o.tlsDir == "" {
		complain("--tls-dir is missing")
	}
	if new(slog.Level).UnmarshalText([]byte(o.logLevel)) != nil {
		complain("--log-level is %q, want debug, info, warn or error", o.logLevel)
	}
	if o.maxInFlight < 1 {
		complain("--max-in-flight is %d, want 1 or more", o.maxInFlight)
	}
	if o.drain < 0 || o.drain > time.Minute {
		complain("--drain is %v, want 0s to 1m", o.drain)
	}
	return policy, errors.Join(problems...)
}

// run makes the webhook, and runs it until a signal comes.
func (o *options) run(ctx context.Context, policy *inject.Policy, log *slog.Logger, signals <-chan os.Signal) error {
	config, err := clusterConfig(o.kubeconfig)
	if err != nil {
		return fmt.Errorf("wisp-webhook run: %w", err)
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("wisp-webhook run: the way to the API server: %w", err)
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return &bindError{fmt.Errorf("wisp-webhook run: --listen: %w", err)}
	}
	health, err := net.Listen("tcp", o.health)
	if err != nil {
		_ = l.Close()
		return &bindError{fmt.Errorf("wisp-webhook run: --health: %w", err)}
	}
	w := newWebhook(webhookOptions{
		Policy:      policy,
		Client:      client,
		TLSDir:      o.tlsDir,
		MaxInFlight: o.maxInFlight,
		Drain:       o.drain,
		Now:         time.Now,
		Log:         log,
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go obey(ctx, signals, w, stop)
	log.Info("wisp-webhook runs", "version", version, "listen", l.Addr().String(), "health", health.Addr().String())
	return w.Run(ctx, l, health)
}

// obey turns signals into calls, until ctx ends.
func obey(ctx context.Context, signals <-chan os.Signal, w *webhook, stop func()) {
	for asked := false; ; asked = true {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			if asked {
				stop()
				return
			}
			w.Quit()
		}
	}
}

// clusterConfig says how to reach the API server. The rates allow for a Deployment of a hundred Pods whose
// account is not in the cache yet; with client-go's default of 5 per second such Pods would wait too long.
func clusterConfig(kubeconfig string) (*rest.Config, error) {
	load := rest.InClusterConfig
	if kubeconfig != "" {
		load = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", kubeconfig) }
	}
	config, err := load()
	if err != nil {
		return nil, fmt.Errorf("the way to the API server: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	config.UserAgent = "wisp-webhook/" + version
	return config, nil
}
