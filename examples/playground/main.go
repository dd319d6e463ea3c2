// Command playground is wisp on one machine, without a cloud and without a cluster: a token issuer, a
// kubelet's volume and the token services of AWS, Google Cloud and Microsoft Entra, all of them fakes on
// loopback that check what the real ones check; and between them and you the real agent, run from a
// configuration file as in a Pod, with every outlet that it has. After that, every other way to prove who a
// workload is, with every cloud that takes it.
//
//	go run ./examples/playground              shows what happens, until interrupted
//	go run ./examples/playground -once        one tour, then exit
//	go run ./examples/playground -dir /tmp/w  keeps its files in /tmp/w
//
// While it runs, source env.sh from its directory, and the aws, gcloud, SDK or curl of that shell gets its
// credentials from wisp; and wisp status, wisp get and its like ask this very wisp. Nothing leaves the
// machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes besides 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

// run plays until ctx ends, or for one tour, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage // package flag has said why
	}
	p, err := open(o, stdout)
	if err == nil {
		err = errors.Join(p.play(ctx), p.close())
	}
	if err != nil {
		fmt.Fprintln(stderr, "playground:", err)
		return exitFailed
	}
	return 0
}

// options are the command line.
type options struct {
	dir      string        // where the files go; empty is a temporary directory
	lifetime time.Duration // of the clouds' credentials
	once     bool
	port     int           // of the first of seven listeners; 0 takes free ones
	patience time.Duration // how long a tour waits for the first credentials
}

const (
	defaultLifetime = 45 * time.Second
	// minLifetime is above the 30 s under which wisp takes a credential for useless. Clouds cut expiries
	// down to the second, and the exchange takes its time, too.
	minLifetime     = 35 * time.Second
	maxLifetime     = time.Hour
	defaultPatience = time.Minute
)

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{patience: defaultPatience}
	flags := flag.NewFlagSet("playground", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.dir, "dir", "", "keep the files in this `directory` (default: a temporary one, removed at the end)")
	flags.DurationVar(&o.lifetime, "lifetime", defaultLifetime, "of the clouds' credentials, 35s to 1h")
	flags.BoolVar(&o.once, "once", false, "make one tour and exit: 0, or 1 saying what failed")
	flags.IntVar(&o.port, "port", 0, "listen on this `port` of 127.0.0.1 and the six above it (default: free ones)")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	complain := func(format string, args ...any) (options, error) {
		err := fmt.Errorf(format, args...)
		fmt.Fprintln(stderr, "playground:", err)
		return options{}, err
	}
	switch {
	case flags.NArg() > 0:
		return complain("%q is not known: there are only flags, see -help", flags.Arg(0))
	case o.lifetime < minLifetime || o.lifetime > maxLifetime:
		return complain("-lifetime %v is not between %v and %v", o.lifetime, minLifetime, maxLifetime)
	case o.port < 0 || o.port > 65535-places+1:
		return complain("-port %d leaves no room for %d ports", o.port, places)
	}
	return o, nil
}
