package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/examples/cluster/control"
	"github.com/wisp-sidecar/wisp/examples/cluster/kubelet"
)

// The modes of injection.
const (
	policyMode  = "policy"
	webhookMode = "webhook"
)

// all is what tests share: it is made when the first one needs it, and ends after the last.
var all struct {
	dir     string
	ctx     context.Context
	servers []*control.Server
}

func TestMain(m *testing.M) {
	kubelet.Main()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	all.ctx = ctx
	var err error
	if all.dir, err = os.MkdirTemp("", "wisp-cluster-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := m.Run()
	stop()
	for _, s := range all.servers {
		s.Wait()
	}
	if err := os.RemoveAll(all.dir); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	return status
}

// programs are what the tests run besides wisp, built once.
var programs = sync.OnceValues(func() (built struct{ apiserver, helm string }, err error) {
	began := time.Now()
	if built.apiserver, err = control.APIServer(all.ctx, "apiserver"); err != nil {
		return built, err
	}
	fmt.Printf("kube-apiserver: built, or found up to date, in %v\n", time.Since(began).Round(100*time.Millisecond))
	built.helm, err = control.Tool(all.ctx, "helm4", "helm")
	return built, err
})

// start starts an API server for a mode.
func start(mode string) func() (*cluster, error) {
	return sync.OnceValues(func() (*cluster, error) {
		built, err := programs()
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(all.dir, mode)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		server, err := control.Start(all.ctx, control.Options{APIServer: built.apiserver, Dir: dir})
		if server != nil {
			all.servers = append(all.servers, server)
		}
		if err != nil {
			return nil, err
		}
		return newCluster(mode, dir, built.helm, server)
	})
}

var startMode = map[string]func() (*cluster, error){policyMode: start(policyMode), webhookMode: start(webhookMode)}

// clusterOf is the API server on which a mode is tried.
func clusterOf(t *testing.T, mode string) *cluster {
	t.Helper()
	c, err := startMode[mode]()
	switch {
	case errors.Is(err, control.ErrNoEtcd) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return c
}
