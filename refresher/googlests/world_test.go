package googlests_test

import (
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// workload is how an IAM policy names the subject of the tokens that a world mints.
var workload = "principal:" + strings.Split(audience, "/providers/")[0] + "/subject/system:serviceaccount:reports:runner"

// A world has services that verify everything, in the time of the bubble that it is made in.
type world struct {
	*testing.T
	net       *cloudtest.Network
	issuer    *cloudtest.Issuer
	google    *cloudtest.Google
	transport *upstream.Transport
}

// newIssuer makes keys, which takes most of a test's time.
func newIssuer() *cloudtest.Issuer {
	return cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example.test"})
}

// newWorld knows one provider, which trusts the issuer, and one account, which the workload may
// impersonate.
func newWorld(t *testing.T, issuer *cloudtest.Issuer) *world {
	t.Helper()
	w := &world{T: t, net: cloudtest.NewNetwork(), issuer: issuer}
	w.google = cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Transport:       w.net,
		Providers:       []cloudtest.PoolProvider{w.provider()},
		ServiceAccounts: []cloudtest.ServiceAccount{{Email: account, Impersonators: []string{workload}}},
		Clients:         []cloudtest.GoogleClient{{ID: "app", Secret: "open sesame"}},
	})
	w.net.Handle("oidc.example.test", w.issuer)
	w.net.Handle("sts.googleapis.com", w.google)
	w.net.Handle("iamcredentials.googleapis.com", w.google)
	var err error
	if w.transport, err = upstream.New(upstream.Options{Base: w.net}); err != nil {
		t.Fatal(err)
	}
	return w
}

// provider is the good one.
func (w *world) provider() cloudtest.PoolProvider {
	return cloudtest.PoolProvider{Name: strings.TrimPrefix(audience, "//iam.googleapis.com/"), Issuer: w.issuer.URL()}
}

// exchanger adds the transport and, if there is none, the audience.
func (w *world) exchanger(o googlests.Options) *googlests.Exchanger {
	w.Helper()
	if o.Audience == "" {
		o.Audience = audience
	}
	o.Transport = w.transport
	x, err := googlests.New(o)
	if err != nil {
		w.Fatal(err)
	}
	return x
}

// mint fills in what is right for the provider.
func (w *world) mint(o cloudtest.TokenOptions) refresher.Token {
	if o.Audience == nil {
		o.Audience = []string{"https:" + audience}
	}
	o.Namespace, o.ServiceAccount = "reports", "runner"
	return refresher.Token{Type: refresher.TypeJWT, Raw: refresher.Secret(w.issuer.Mint(o))}
}

// principal exchanges and tells whom the token stands for.
func (w *world) principal(o googlests.Options, token refresher.Token) string {
	w.Helper()
	c, err := w.exchanger(o).Exchange(w.Context(), token, refresher.Target{})
	if err != nil {
		w.Fatalf("Exchange = %v (%s)", err, refresher.AsError(err).Hint)
	}
	principal, _ := w.google.Principal(c.Value.(refresher.Bearer).Token.Reveal())
	return principal
}
