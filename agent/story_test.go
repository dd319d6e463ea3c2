package agent_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/awscontainer"
	"github.com/wisp-sidecar/wisp/endpoints/gcemetadata"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A mint is a source with a new token each time.
type mint struct{ audience string }

func (m mint) Token(context.Context) (refresher.Token, error) {
	raw := refresher.Secret(issuer().Mint(cloudtest.TokenOptions{Namespace: "shop", ServiceAccount: "reports", Audience: []string{m.audience}}))
	claims, err := refresher.ParseClaims(raw)
	return refresher.Token{Raw: raw, Type: refresher.TypeJWT, Issued: claims.Issued, Expires: claims.Expires}, err
}

// A Pod starts before its network does: the clouds refuse connections for the first 20 seconds. Until
// then nobody is told anything that makes an SDK give up; soon after there are credentials.
func TestColdStart(t *testing.T) {
	issuer() // its keys are made outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		internet := cloudtest.NewNetwork()
		internet.Handle("oidc.example.test", issuer())
		aws := cloudtest.NewAWS(cloudtest.AWSOptions{
			Transport: internet,
			Providers: []cloudtest.OIDCProvider{{Account: "123456789012", Issuer: issuer().URL(), Audiences: []string{awsAudience}}},
			Roles:     []cloudtest.Role{{ARN: awsRole, Issuer: issuer().URL(), Subjects: []string{workload}}},
		})
		google := cloudtest.NewGoogle(cloudtest.GoogleOptions{
			Transport: internet,
			Providers: []cloudtest.PoolProvider{{Name: googleProvider, Issuer: issuer().URL()}},
		})
		internet.Handle("sts.eu-west-1.amazonaws.com", aws)
		internet.Handle("sts.googleapis.com", google)
		transport, err := upstream.New(upstream.Options{Base: internet})
		if err != nil {
			t.Fatal(err)
		}
		toAWS, err := awssts.New(awssts.Options{RoleARN: awsRole, Region: "eu-west-1", Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		toGoogle, err := googlests.New(googlests.Options{Audience: "//iam.googleapis.com/" + googleProvider, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		clock, pool := &refresher.Clock{}, &refresher.Pool{}
		reports := refresher.NewIdentity(refresher.IdentityOptions{
			Name: "aws", Source: mint{awsAudience}, Exchanger: toAWS, Floor: 15 * time.Minute, Clock: clock, Pool: pool,
		})
		direct := refresher.NewIdentity(refresher.IdentityOptions{
			Name: "google", Source: mint{"https://iam.googleapis.com/" + googleProvider}, Exchanger: toGoogle,
			Target: refresher.Target{Scope: toGoogle.DefaultScope()}, Floor: 6 * time.Minute, Clock: clock, Pool: pool,
		})
		server, err := endpoints.NewServer(endpoints.ServerOptions{Protocols: []*endpoints.Protocol{
			awscontainer.New(awscontainer.Options{Entries: []awscontainer.Entry{{Path: "/aws/reports", Provider: reports}}}),
			gcemetadata.New(gcemetadata.Options{
				Accounts:  []gcemetadata.Account{{Email: "direct.svc.id.goog", Provider: direct}},
				ProjectID: "shop-prod", NumericProjectID: "123456789",
			}),
		}})
		if err != nil {
			t.Fatal(err)
		}
		// ask reports how long the answer took, in virtual time.
		ask := func(path string) (*httptest.ResponseRecorder, time.Duration) {
			address := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911}
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9911"+path, nil)
			r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(address)))
			r.Header.Set("Metadata-Flavor", "Google")
			recorder, asked := httptest.NewRecorder(), time.Now()
			server.ServeHTTP(recorder, r)
			return recorder, time.Since(asked)
		}
		const (
			container = "/aws/reports"
			token     = "/computeMetadata/v1/instance/service-accounts/default/token"
		)

		aws.Refuse(true)
		google.Refuse(true)
		begin := time.Now()
		time.AfterFunc(20*time.Second, func() { aws.Refuse(false); google.Refuse(false) })
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		go func() { _ = reports.Run(ctx) }()
		go func() { _ = direct.Run(ctx) }()

		for time.Since(begin) < 15*time.Second {
			for _, test := range []struct {
				path string
				hold time.Duration
				body string
			}{
				{container, 800 * time.Millisecond, `{"code":"CredentialsNotReady","message":"there is no credential at the moment; try again"}`},
				{token, 2 * time.Second, "there is no credential at the moment; try again\n"},
			} {
				got, held := ask(test.path)
				if got.Code != http.StatusServiceUnavailable || got.Body.String() != test.body || got.Header().Get("Retry-After") != "1" {
					t.Errorf("%v after the start: %s = %d %q", time.Since(begin), test.path, got.Code, got.Body)
				}
				if held != test.hold {
					t.Errorf("%s was held for %v, want %v", test.path, held, test.hold)
				}
			}
			// What tells clients where they are needs no cloud.
			for path, want := range map[string]string{
				"/":                                      "computeMetadata/\n",
				"/computeMetadata/v1/project/project-id": "shop-prod",
				"/computeMetadata/v1/project/numeric-project-id":              "123456789",
				"/computeMetadata/v1/instance/service-accounts/":              "default/\ndirect.svc.id.goog/\n",
				"/computeMetadata/v1/instance/service-accounts/default/email": "direct.svc.id.goog",
			} {
				got, held := ask(path)
				if got.Code != http.StatusOK || held != 0 || got.Body.String() != want || got.Header().Get("Metadata-Flavor") != "Google" {
					t.Errorf("%v after the start: %s = %d %q after %v", time.Since(begin), path, got.Code, got.Body, held)
				}
			}
		}

		for name, identity := range map[string]*refresher.Identity{"aws": reports, "google": direct} {
			patient, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := identity.Credential(patient, refresher.Target{}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if after := time.Since(begin); after > 25*time.Second {
				t.Errorf("%s: the first credential came after %v, want 25 s or less", name, after)
			}
		}
		for path, want := range map[string]string{container: `"AccessKeyId":"ASIA`, token: `"access_token":"ya29.`} {
			if got, held := ask(path); got.Code != http.StatusOK || held != 0 || !strings.Contains(got.Body.String(), want) {
				t.Errorf("with a network: %s = %d after %v", path, got.Code, held)
			}
		}
	})
}
