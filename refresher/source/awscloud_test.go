package source_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

const (
	awsAccount = "123456789012"
	awsRole    = "arn:aws:iam::" + awsAccount + ":role/reports"
)

// clouds are an AWS, whose region is eu-west-1, and a Google that asks it who has signed.
type clouds struct {
	net    *cloudtest.Network
	aws    *cloudtest.AWS
	google *cloudtest.Google
	now    func() time.Time
}

// newClouds returns clouds whose clocks are ahead of the local one.
func newClouds(ahead time.Duration) *clouds {
	c := &clouds{net: cloudtest.NewNetwork(), now: func() time.Time { return time.Now().Add(ahead) }}
	c.aws = cloudtest.NewAWS(cloudtest.AWSOptions{
		Roles: []cloudtest.Role{{ARN: awsRole}}, Transport: c.net, Now: c.now,
	})
	c.google = cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Providers: []cloudtest.PoolProvider{{Name: googleProvider, AWSAccount: awsAccount}}, Transport: c.net, Now: c.now,
	})
	c.net.Handle("sts.eu-west-1.amazonaws.com", c.aws)
	c.net.Handle("sts.googleapis.com", c.google)
	return c
}

// key is one of the role's, without asking anybody.
func (c *clouds) key(t testing.TB, lifetime time.Duration) (refresher.AccessKey, time.Time) {
	t.Helper()
	id, key, token, expires, err := c.aws.IssueSession(awsRole, "shop-reports", lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return refresher.AccessKey{ID: id, Secret: refresher.Secret(key), SessionToken: refresher.Secret(token)}, expires
}

func (c *clouds) instance(lifetime time.Duration) *cloudtest.EC2 {
	ec2 := cloudtest.NewEC2(cloudtest.EC2Options{AWS: c.aws, RoleARN: awsRole, Lifetime: lifetime, Now: c.now})
	c.net.Handle("169.254.169.254", ec2)
	return ec2
}

func (c *clouds) ambient(t testing.TB, o source.AWSAmbientOptions, e env) source.AWSKeys {
	t.Helper()
	o.Getenv, o.Transport = e.get, transport(t, c.net)
	keys, err := source.NewAWSAmbient(o)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// exchanger is that of the provider, without a service account.
func (c *clouds) exchanger(t testing.TB) *googlests.Exchanger {
	t.Helper()
	x, err := googlests.New(googlests.Options{Audience: targetResource, Transport: transport(t, c.net)})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// awsKeyPlaces are all the ways to a key.
var awsKeyPlaces = []struct {
	name    string
	session string // of the role
	keys    func(testing.TB, *clouds) source.AWSKeys
}{
	{"another identity", "shop-reports", func(t testing.TB, c *clouds) source.AWSKeys {
		return source.AWSKeysOf("hub", awsIdentity(t, c), "eu-west-1")
	}},
	{"the environment", "shop-reports", func(t testing.TB, c *clouds) source.AWSKeys {
		key, _ := c.key(t, time.Hour)
		return c.ambient(t, source.AWSAmbientOptions{}, env{
			"AWS_ACCESS_KEY_ID": key.ID, "AWS_SECRET_ACCESS_KEY": key.Secret.Reveal(),
			"AWS_SESSION_TOKEN": key.SessionToken.Reveal(), "AWS_DEFAULT_REGION": "eu-west-1",
		})
	}},
	{"the container", "eks-shop-reports", func(t testing.TB, c *clouds) source.AWSKeys {
		endpoint := cloudtest.NewAWSContainer(cloudtest.AWSContainerOptions{AWS: c.aws, RoleARN: awsRole, Now: c.now})
		c.net.Handle("169.254.170.23", endpoint)
		return c.ambient(t, source.AWSAmbientOptions{}, env{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23" + endpoint.Path(),
			"AWS_CONTAINER_AUTHORIZATION_TOKEN":  endpoint.Authorization(), "AWS_REGION": "eu-west-1",
		})
	}},
	{"the instance", "i-0123456789abcdef0", func(t testing.TB, c *clouds) source.AWSKeys {
		c.instance(0)
		return c.ambient(t, source.AWSAmbientOptions{}, nil)
	}},
	{"the instance of a document", "i-0123456789abcdef0", func(t testing.TB, c *clouds) source.AWSKeys {
		c.instance(0)
		return c.ambient(t, source.AWSAmbientOptions{RegionURL: zoneURL, CredentialsURL: rolesURL, SessionTokenURL: tokensURL}, nil)
	}},
}

// awsIdentity is a running identity of ours.
func awsIdentity(t testing.TB, c *clouds) *refresher.Identity {
	t.Helper()
	i := refresher.NewIdentity(refresher.IdentityOptions{
		Name:   "hub",
		Source: tokenFunc(func(context.Context) (refresher.Token, error) { return refresher.Token{Raw: "x"}, nil }),
		Exchanger: exchangeFunc(func(context.Context, refresher.Token, refresher.Target) (refresher.Credential, error) {
			key, expires := c.key(t, time.Hour)
			return refresher.Credential{Value: key, Expires: expires}, nil
		}),
	})
	t.Cleanup(run(t, i))
	return i
}

type tokenFunc func(context.Context) (refresher.Token, error)

func (f tokenFunc) Token(ctx context.Context) (refresher.Token, error) { return f(ctx) }

type exchangeFunc func(context.Context, refresher.Token, refresher.Target) (refresher.Credential, error)

func (f exchangeFunc) Exchange(ctx context.Context, token refresher.Token, target refresher.Target) (refresher.Credential, error) {
	return f(ctx, token, target)
}

// Google believes what is signed with a key from anywhere.
func TestAWSToGoogle(t *testing.T) {
	for _, p := range awsKeyPlaces {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClouds(0)
				s := callerIdentity(t, source.AWSCallerIdentityOptions{Keys: p.keys(t, c)})
				token, err := s.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				credential, err := c.exchanger(t).Exchange(t.Context(), token, refresher.Target{})
				if err != nil {
					t.Fatal(err)
				}
				got, _ := c.google.Principal(credential.Value.(refresher.Bearer).Token.Reveal())
				pool, _, _ := strings.Cut(targetResource, "/providers/")
				want := fmt.Sprintf("principal:%s/subject/arn:aws:sts::%s:assumed-role/reports/%s", pool, awsAccount, p.session)
				if got != want {
					t.Errorf("Google takes us for %q, want %q", got, want)
				}
			})
		})
	}
}

// A key that Google cannot use is Google's to refuse; the words are sorted there.
func TestAWSKeysThatGoogleRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClouds(0)
		good, _ := c.key(t, time.Hour)
		unknown := good
		unknown.SessionToken = "of-nobody"
		for _, test := range []struct {
			name string
			o    source.AWSCallerIdentityOptions
			key  refresher.AccessKey
		}{
			{"a key that AWS does not know", source.AWSCallerIdentityOptions{}, unknown},
			{"a token for another provider", source.AWSCallerIdentityOptions{TargetResource: targetResource + "2"}, good},
		} {
			test.o.Region, test.o.Keys = "eu-west-1", fixedKeys{key: test.key}
			token, err := callerIdentity(t, test.o).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.exchanger(t).Exchange(t.Context(), token, refresher.Target{})
			if e := refresher.AsError(err); e == nil || e.Code != "invalid_grant" {
				t.Errorf("%s: Exchange = %v, want invalid_grant", test.name, err)
			}
		}
	})
}

// A clock that is wrong by hours costs one exchange: Google's answer tells the time.
func TestAWSToGoogleWithAWrongClock(t *testing.T) {
	for _, test := range []struct {
		name     string
		ahead    time.Duration // of the clouds
		attempts int
	}{
		{"right", 0, 1},
		{"fast by less than is noticed", -29 * time.Second, 1},
		{"slow by less than is noticed", 29 * time.Second, 1},
		{"fast by two hours", -2 * time.Hour, 2},
		{"slow by two hours", 2 * time.Hour, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClouds(test.ahead)
				c.instance(time.Hour) // keys that have expired, by a clock that is fast
				i := refresher.NewIdentity(refresher.IdentityOptions{
					Name:      "reports",
					Source:    callerIdentity(t, source.AWSCallerIdentityOptions{Keys: c.ambient(t, source.AWSAmbientOptions{}, nil)}),
					Exchanger: c.exchanger(t),
				})
				defer run(t, i)()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				credential, err := i.Credential(ctx, refresher.Target{})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v, want less than a second", took)
				}
				if !c.google.Valid(credential.Value.(refresher.Bearer).Token.Reveal()) {
					t.Error("Google does not know the token")
				}
				if got := c.google.Calls("token"); got != test.attempts {
					t.Errorf("%d exchanges, want %d", got, test.attempts)
				}
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				if got := i.Status(); got.Failure != nil {
					t.Errorf("three hours later: %v, want no failure", got.Failure)
				}
				if got, most := c.google.Calls("token"), test.attempts+6; got > most || got < test.attempts+2 {
					t.Errorf("%d exchanges in three hours, want %d to %d", got, test.attempts+2, most)
				}
			})
		})
	}
}
