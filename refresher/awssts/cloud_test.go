package awssts_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// Against a cloud that verifies what it is sent.
func TestExchangeInACloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const issuerURL = "https://oidc.example.test/cluster"
		network := cloudtest.NewNetwork()
		issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL})
		cloud := cloudtest.NewAWS(cloudtest.AWSOptions{
			Transport: network,
			Providers: []cloudtest.OIDCProvider{{Account: "123456789012", Issuer: issuerURL, Audiences: []string{"sts.amazonaws.com"}}},
			Roles:     []cloudtest.Role{{ARN: role, Issuer: issuerURL, Subjects: []string{"system:serviceaccount:shop:reports"}}},
		})
		network.Handle("oidc.example.test", issuer)
		network.Handle("sts.eu-west-1.amazonaws.com", cloud)
		transport, err := upstream.New(upstream.Options{Base: network})
		if err != nil {
			t.Fatal(err)
		}
		good := cloudtest.TokenOptions{Namespace: "shop", ServiceAccount: "reports", Pod: "reports-0", Audience: []string{"sts.amazonaws.com"}}
		exchange := func(o awssts.Options, token cloudtest.TokenOptions) (refresher.Credential, error) {
			t.Helper()
			o.RoleARN, o.Region, o.Transport = role, "eu-west-1", transport
			x, err := awssts.New(o)
			if err != nil {
				t.Fatal(err)
			}
			raw := refresher.Secret(issuer.Mint(token))
			return x.Exchange(t.Context(), refresher.Token{Raw: raw, Type: refresher.TypeJWT}, refresher.Target{})
		}

		c, err := exchange(awssts.Options{Duration: 30 * time.Minute}, good)
		if err != nil {
			t.Fatal(err)
		}
		key := c.Value.(refresher.AccessKey)
		arn, valid := cloud.Principal(key.ID, key.Secret.Reveal(), key.SessionToken.Reveal())
		if want := "arn:aws:sts::123456789012:assumed-role/reports/shop-reports-reports-0"; !valid || arn != want {
			t.Errorf("the access key is that of %q, valid %v, want %q", arn, valid, want)
		}
		if left := time.Until(c.Expires); key.AccountID != "123456789012" || left != 30*time.Minute {
			t.Errorf("account %s with %v left, want 123456789012 with 30m", key.AccountID, left)
		}

		failures := []struct {
			name    string
			options awssts.Options
			token   func(*cloudtest.TokenOptions)
			class   refresher.Class
			text    string
		}{
			{"wrong audience", awssts.Options{}, func(o *cloudtest.TokenOptions) { o.Audience = []string{"vault"} }, refresher.Denied, "Incorrect token audience"},
			{"another service account", awssts.Options{}, func(o *cloudtest.TokenOptions) { o.ServiceAccount = "default" }, refresher.Settling, "AccessDenied"},
			{"expired token", awssts.Options{}, func(o *cloudtest.TokenOptions) { o.Lifetime = -time.Hour }, refresher.SubjectToken, "ExpiredTokenException"},
			{"bad signature", awssts.Options{}, func(o *cloudtest.TokenOptions) { o.WrongKey = true }, refresher.SubjectToken, "InvalidIdentityToken"},
			{"unknown issuer", awssts.Options{}, func(o *cloudtest.TokenOptions) { o.Claims = map[string]any{"iss": "https://other.example.test"} }, refresher.Settling, "No OpenIDConnect provider"},
			{"longer than the role allows", awssts.Options{Duration: 2 * time.Hour}, func(*cloudtest.TokenOptions) {}, refresher.Denied, "ValidationError"},
		}
		for _, tt := range failures {
			token := good
			tt.token(&token)
			_, err := exchange(tt.options, token)
			if e := refresher.AsError(err); e == nil || e.Class != tt.class || !strings.Contains(e.Error(), tt.text) {
				t.Errorf("%s: Exchange = %v, want %v with %q", tt.name, err, tt.class, tt.text)
			}
		}

		cloud.Refuse(true)
		if _, err := exchange(awssts.Options{}, good); refresher.AsError(err).Class != refresher.Transient {
			t.Errorf("refused connection: Exchange = %v, want transient", err)
		}
	})
}
