package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/reserve"
)

// ErrNoEtcd is that there is no etcd to be found.
var ErrNoEtcd = errors.New("etcd is not on PATH: Debian's package is etcd-server")

// Options configure a [Server].
type Options struct {
	APIServer string // the program, see [APIServer]
	Dir       string // an empty directory for data, keys and logs
}

// A Server is an API server with an etcd of its own, on ports of 127.0.0.1 that are its own. Authorization is RBAC, the admission
// plugins are those that are on by default. Its issuer's documents can be read by anybody, as those of public
// clusters can.
type Server struct {
	// Config is that of a member of system:masters, without limits to its rate.
	Config *rest.Config
	// Issuer is the issuer of the tokens of service accounts, and where its documents are.
	Issuer string

	certified string // the file that the API server writes after its certificate
	client    *kubernetes.Clientset
	processes []*process
}

// Start starts one, and returns when it is ready. The end of ctx ends it; [Server.Wait] returns after that.
func Start(ctx context.Context, o Options) (*Server, error) {
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		return nil, ErrNoEtcd
	}
	keys, err := newCredentials(o.Dir)
	if err != nil {
		return nil, err
	}
	var at [3]netip.AddrPort
	for i := range at {
		address, release, err := reserve.Address()
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, release)
		at[i] = netip.MustParseAddrPort(address)
	}
	store, peers := "http://"+at[0].String(), "http://"+at[1].String()
	s := &Server{Issuer: "https://" + at[2].String(), certified: filepath.Join(o.Dir, "apiserver.key")}
	for _, argv := range [][]string{
		{
			etcd, "--data-dir=" + filepath.Join(o.Dir, "etcd"), "--listen-client-urls=" + store, "--advertise-client-urls=" + store,
			"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
		}, {
			o.APIServer, "--etcd-servers=" + store, "--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(int(at[2].Port())),
			"--cert-dir=" + o.Dir, "--token-auth-file=" + keys.tokens, "--authorization-mode=RBAC", "--allow-privileged",
			"--service-account-issuer=" + s.Issuer, "--service-account-jwks-uri=" + s.Issuer + "/openid/v1/jwks",
			"--service-account-signing-key-file=" + keys.key, "--service-account-key-file=" + keys.key,
			"--service-cluster-ip-range=10.0.0.0/24",
			// Nobody is there to be told where the server is; with the address of TEST-NET-1 it does not look for one.
			"--endpoint-reconciler-type=none", "--advertise-address=192.0.2.1",
		},
	} {
		p, err := start(ctx, o.Dir, argv[0], argv[1:]...)
		if err != nil {
			return nil, err
		}
		s.processes = append(s.processes, p)
	}
	s.Config = &rest.Config{
		Host: s.Issuer, BearerToken: keys.token, QPS: -1,
		// Its certificate is one that it makes for itself.
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(o.Dir, "apiserver.crt")},
	}
	return s, s.prepare(ctx)
}

// prepare waits until the server is ready, and shows its issuer's documents to everybody.
func (s *Server) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		for _, p := range s.processes {
			if err := p.failure(); err != nil {
				return false, err
			}
		}
		if s.client == nil {
			if _, err := os.Stat(s.certified); err != nil {
				return false, nil // the certificate may be half written
			}
			var err error
			if s.client, err = kubernetes.NewForConfig(s.Config); err != nil {
				return false, err
			}
		}
		return s.client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the API server does not get ready: %w", err)
	}
	_, err = s.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "issuer-for-everybody"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	transport, err := s.Transport()
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	err = wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		return s.published(ctx, client)
	})
	if err != nil {
		return fmt.Errorf("the API server does not show its issuer's documents: %w", err)
	}
	return nil
}

// published tells whether the server lets everybody read its issuer's documents, which it does when it has noticed the binding.
func (s *Server) published(ctx context.Context, client *http.Client) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return false, err
	}
	response, err := client.Do(r)
	if err != nil {
		return false, err
	}
	return response.StatusCode == http.StatusOK, response.Body.Close()
}

// Client is a client with [Server.Config].
func (s *Server) Client() *kubernetes.Clientset { return s.client }

// Transport leads to the issuer's documents, for one who is nobody to the server.
func (s *Server) Transport() (http.RoundTripper, error) {
	text, err := os.ReadFile(s.Config.CAFile)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(text)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}, nil
}

// Wait returns when both processes have ended.
func (s *Server) Wait() {
	for _, p := range s.processes {
		<-p.ended
	}
}
