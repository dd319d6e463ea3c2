package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/examples/cluster/control"
)

func TestServer(t *testing.T) {
	began := time.Now()
	program, err := control.APIServer(t.Context(), "../apiserver")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kube-apiserver built in %v", time.Since(began).Round(time.Millisecond))
	ctx, cancel := context.WithCancel(t.Context())
	began = time.Now()
	s, err := control.Start(ctx, control.Options{APIServer: program, Dir: t.TempDir()})
	switch {
	case errors.Is(err, control.ErrNoEtcd) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	t.Logf("ready in %v", time.Since(began).Round(time.Millisecond))

	transport, err := s.Transport()
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&http.Client{Transport: transport}).Get(s.Issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var document struct{ Issuer string }
	if err := json.NewDecoder(r.Body).Decode(&document); err != nil || document.Issuer != s.Issuer {
		t.Errorf("the discovery document is of %q (%v), want %q", document.Issuer, err, s.Issuer)
	}
	cancel()
	s.Wait()
}
