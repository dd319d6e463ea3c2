package kubernetes_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// A row is a user of a kubeconfig, and what comes of it at an API server.
type row struct {
	name  string
	kind  string   // of API server
	args  []string // of wisp get, from the identity on
	other bool     // another token than the identity's default one

	// One of these is what comes.
	user    string // whom the API server takes the client for
	refused string // a part of why the API server does not
	fails   string // a part of why client-go asks none
}

var rows = []row{
	{name: "AKS", kind: aks, args: []string{"azure", "--resource", aksApplication}, other: true, user: client},
	{name: "AKS, a token for another resource", kind: aks, args: []string{"azure"}, refused: azureResourceManager},
	{name: "GKE", kind: gke, args: []string{"google"}, user: "serviceAccount:" + account},
	{
		name: "GKE, a token of another scope", kind: gke, other: true,
		args: []string{"google", "--scope", "https://www.googleapis.com/auth/devstorage.read_only"}, refused: "scope",
	},
	{name: "EKS", kind: eks, args: []string{"aws", "--cluster", eksCluster}, user: session},
	{name: "EKS, a token for another cluster", kind: eks, args: []string{"aws", "--cluster", "test"}, refused: "got 403"},
	{name: "EKS, no cluster", kind: eks, args: []string{"aws"}, fails: "wisp failed with exit code"},
}

var versions = []string{"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"}

// wisp is what client-go wants of a credential plugin: the API servers of all three clouds take its tokens, client-go
// keeps a token for the next request, and no cloud is asked for another when a wisp runs that has the credential.
func TestClientGo(t *testing.T) {
	program := filepath.Join(t.TempDir(), "wisp")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/wisp")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("no wisp runs", func(t *testing.T) {
		s := newStage(t, program)
		for _, r := range rows {
			for _, version := range versions {
				// Each run exchanges, and client-go has another run when a token is refused.
				exchanges := 1
				if r.refused != "" {
					exchanges = 2
				}
				t.Run(r.name+"/"+version, func(t *testing.T) { s.try(t, r, version, exchanges) })
			}
		}
	})
	t.Run("wisp runs", func(t *testing.T) {
		s := newStage(t, program)
		s.start(t)
		for _, r := range rows {
			for i, version := range versions {
				exchanges := 0
				if r.other && i == 0 {
					exchanges = 1 // it is the first to ask for that
				}
				t.Run(r.name+"/"+version, func(t *testing.T) { s.try(t, r, version, exchanges) })
			}
		}
	})
}

// try does what a row says, twice with the same client if it is to succeed, and counts the exchanges.
func (s *stage) try(t *testing.T, r row, version string, exchanges int) {
	before := s.exchanges()
	api := s.connect(t, r, version)
	user, err := whoami(t.Context(), api)
	switch {
	case r.fails != "":
		if err == nil || !strings.Contains(err.Error(), r.fails) {
			t.Errorf("the API server takes the client for %q, %v, want an error with %q", user, err, r.fails)
		}
	case r.refused != "":
		if !apierrors.IsUnauthorized(err) || !strings.Contains(err.Error(), r.refused) {
			t.Errorf("the API server takes the client for %q, %v, want a refusal with %q", user, err, r.refused)
		}
	default:
		again, errAgain := whoami(t.Context(), api)
		if user != r.user || err != nil || again != r.user || errAgain != nil {
			t.Errorf("the API server takes the client for %q, %v, and then for %q, %v, want %q", user, err, again, errAgain, r.user)
		}
	}
	if made := s.exchanges() - before; made != exchanges {
		t.Errorf("%d exchanges, want %d", made, exchanges)
	}
}

// connect makes a client of a kubeconfig.
func (s *stage) connect(t *testing.T, r row, version string) *rest.RESTClient {
	t.Helper()
	kubeconfig := fill(t, "kubeconfig.yaml", map[string]any{
		"Server": s.clusters[r.kind].Server, "CA": s.clusters[r.kind].CA, "Version": version, "Program": s.program,
		"Args": append(append([]string{"get"}, r.args...), "--format", "execCredential", "--config", s.config()),
	})
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(kubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := authenticationv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	config.APIPath, config.GroupVersion = "/apis", &authenticationv1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	api, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// whoami is kubectl auth whoami.
func whoami(ctx context.Context, api *rest.RESTClient) (string, error) {
	var review authenticationv1.SelfSubjectReview
	err := api.Post().Resource("selfsubjectreviews").Body(&review).Do(ctx).Into(&review)
	return review.Status.UserInfo.Username, err
}
