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

const issuerURL = "https://oidc.example.test/cluster"

// A cloud is an AWS that verifies what it is sent, and an issuer that it trusts. Both have a clock
// that may differ from that of the bubble.
type cloud struct {
	*testing.T
	aws       *cloudtest.AWS
	issuer    *cloudtest.Issuer
	transport *upstream.Transport
}

func newCloud(t *testing.T, ahead time.Duration, roles ...cloudtest.Role) *cloud {
	t.Helper()
	network := cloudtest.NewNetwork()
	now := func() time.Time { return time.Now().Add(ahead) }
	c := &cloud{
		T:      t,
		issuer: cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL, Now: now}),
		aws: cloudtest.NewAWS(cloudtest.AWSOptions{
			Transport: network, Now: now,
			Providers: []cloudtest.OIDCProvider{{Account: "123456789012", Issuer: issuerURL, Audiences: []string{"sts.amazonaws.com"}}},
			Roles:     append(roles, cloudtest.Role{ARN: role, Issuer: issuerURL, Subjects: []string{"system:serviceaccount:shop:reports"}}),
			Policies:  []string{"arn:aws:iam::123456789012:policy/team/readonly"},
		}),
	}
	network.Handle("oidc.example.test", c.issuer)
	network.Handle("sts.eu-west-1.amazonaws.com", c.aws)
	network.Handle("sts.amazonaws.com", c.aws)
	var err error
	if c.transport, err = upstream.New(upstream.Options{Base: network}); err != nil {
		t.Fatal(err)
	}
	return c
}

func goodToken() cloudtest.TokenOptions {
	return cloudtest.TokenOptions{Namespace: "shop", ServiceAccount: "reports", Pod: "reports-0", Audience: []string{"sts.amazonaws.com"}}
}

// exchange makes one attempt, and returns what it recorded.
func (c *cloud) exchange(o awssts.Options, token cloudtest.TokenOptions) (refresher.Credential, refresher.AttemptData, error) {
	c.Helper()
	o.RoleARN, o.Transport = role, c.transport
	if o.Region == "" {
		o.Region = "eu-west-1"
	}
	x, err := awssts.New(o)
	if err != nil {
		c.Fatal(err)
	}
	attempt := new(refresher.Attempt)
	raw := refresher.Secret(c.issuer.Mint(token))
	credential, err := x.Exchange(refresher.WithAttempt(c.Context(), attempt), refresher.Token{Raw: raw, Type: refresher.TypeJWT}, refresher.Target{})
	return credential, attempt.Data(), err
}

func TestExchangeInACloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newCloud(t, 0)
		c, _, err := cloud.exchange(awssts.Options{Duration: 30 * time.Minute, ExpectedAccount: "123456789012"}, goodToken())
		if err != nil {
			t.Fatal(err)
		}
		key := c.Value.(refresher.AccessKey)
		arn, valid := cloud.aws.Principal(key.ID, key.Secret.Reveal(), key.SessionToken.Reveal())
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
			{"longer than the role allows", awssts.Options{Duration: 2 * time.Hour}, nil, refresher.Denied, "ValidationError"},
			{"a policy that is none", awssts.Options{Policy: `{"Version":"2012-10-17"}`}, nil, refresher.Denied, "MalformedPolicyDocument"},
			{"a managed policy that does not exist", awssts.Options{PolicyARNs: []string{"arn:aws:iam::123456789012:policy/none"}}, nil, refresher.Denied, "InvalidParameterValue"},
		}
		for _, tt := range failures {
			token := goodToken()
			if tt.token != nil {
				tt.token(&token)
			}
			_, _, err := cloud.exchange(tt.options, token)
			if e := refresher.AsError(err); e == nil || e.Class != tt.class || !strings.Contains(e.Error(), tt.text) {
				t.Errorf("%s: Exchange = %v, want %v with %q", tt.name, err, tt.class, tt.text)
			}
		}

		cloud.aws.Refuse(true)
		if _, _, err := cloud.exchange(awssts.Options{}, goodToken()); refresher.AsError(err).Class != refresher.Transient {
			t.Errorf("refused connection: Exchange = %v, want transient", err)
		}
	})
}
