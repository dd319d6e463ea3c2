package kubernetes_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// The kinds of API servers.
const (
	aks = "AKS"
	eks = "EKS"
	gke = "GKE"
)

const (
	// aksApplication is that of all API servers of AKS:
	// https://azure.github.io/kubelogin/concepts/aks.html
	aksApplication = "6dae42f8-4368-4678-94ff-3960e28e3630"

	// azureResourceManager is what tokens of Entra are for if wisp is not told otherwise.
	azureResourceManager = "https://management.azure.com"

	// gkeScope is the one that API servers of GKE ask for:
	// https://cloud.google.com/kubernetes-engine/docs/how-to/api-server-authentication
	gkeScope = "https://www.googleapis.com/auth/cloud-platform"
)

// An authenticator says whose a bearer token is, or why it is nobody's.
type authenticator func(ctx context.Context, token string) (user string, err error)

// authenticators are those of the API servers, by kind.
func (s *stage) authenticators() map[string]authenticator {
	cluster := cloudtest.NewEKS(cloudtest.EKSOptions{Cluster: eksCluster, Transport: s.internet})
	return map[string]authenticator{
		aks: func(_ context.Context, token string) (string, error) {
			app, err := s.entra.Validate(token)
			if err == nil && app.Audience != aksApplication {
				err = fmt.Errorf("a token for %s", app.Audience)
			}
			return app.ClientID, err
		},
		eks: cluster.Authenticate,
		gke: func(_ context.Context, token string) (string, error) {
			user, valid := s.google.Principal(token)
			switch {
			case !valid:
				return "", errors.New("no access token of Google")
			case !slices.Contains(s.google.Scopes(token), gkeScope):
				return "", errors.New("the scope is not enough")
			}
			return user, nil
		},
	}
}

// A cluster is what a kubeconfig says of one.
type cluster struct {
	Server string
	CA     []byte // PEM
}

// serve starts an API server. It has only what kubectl auth whoami asks, and tells strangers more of why they are
// refused than a real one.
func serve(t *testing.T, authenticate authenticator) cluster {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		user, err := authenticate(r.Context(), token)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(metav1.Status{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: http.StatusUnauthorized,
				Status: metav1.StatusFailure, Reason: metav1.StatusReasonUnauthorized, Message: err.Error(),
			})
			return
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(authenticationv1.SelfSubjectReview{
			TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "SelfSubjectReview"},
			Status:   authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: user}},
		})
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return cluster{Server: server.URL, CA: certificate}
}
