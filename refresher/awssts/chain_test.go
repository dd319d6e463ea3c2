package awssts_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	hub    = "arn:aws:iam::210987654321:role/hub"
	spoke  = "arn:aws:iam::333333333333:role/team/spoke"
	narrow = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
)

// hops are roles that can be assumed from the one of the token, and from each other.
func hops() []cloudtest.Role {
	return []cloudtest.Role{
		{ARN: hub, TrustedAccounts: []string{"123456789012"}, ExternalID: "shop/1", MaxSession: 12 * time.Hour, TagSession: true, SetSourceIdentity: true},
		{ARN: spoke, TrustedAccounts: []string{"210987654321"}, MaxSession: 12 * time.Hour, TagSession: true, SetSourceIdentity: true},
	}
}

// served is what the cloud knows of a credential.
func (c *cloud) served(credential refresher.Credential) cloudtest.Session {
	c.Helper()
	key := credential.Value.(refresher.AccessKey)
	if _, valid := c.aws.Principal(key.ID, key.Secret.Reveal(), key.SessionToken.Reveal()); !valid {
		c.Error("the access key is not valid")
	}
	s, _ := c.aws.Session(key.ID)
	return s
}

func TestSessionPoliciesAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newCloud(t, 0)
		arns := []string{"arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::123456789012:policy/team/readonly"}
		c, _, err := cloud.exchange(awssts.Options{Policy: narrow, PolicyARNs: arns}, goodToken())
		if err != nil {
			t.Fatal(err)
		}
		s := cloud.served(c)
		if diff := gocmp.Diff(append(arns, narrow), append(s.PolicyARNs, s.Policy)); diff != "" {
			t.Errorf("session policies (-want +got):\n%s", diff)
		}
	})
}

func TestAChainOfTwoRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newCloud(t, 0, hops()...)
		c, attempt, err := cloud.exchange(awssts.Options{
			ExpectedAccount: "210987654321",
			Chain:           []awssts.Hop{{RoleARN: hub, ExternalID: "shop/1"}},
		}, goodToken())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := cloud.served(c).ARN, "arn:aws:sts::210987654321:assumed-role/hub/shop-reports-reports-0"; got != want {
			t.Errorf("the access key is that of %s, want %s", got, want)
		}
		if key := c.Value.(refresher.AccessKey); key.AccountID != "210987654321" {
			t.Errorf("AccountID = %s, want that of the last role", key.AccountID)
		}
		if left := time.Until(c.Expires); left != time.Hour || attempt.Requested != time.Hour {
			t.Errorf("%v left, %v requested, want 1h for both", left, attempt.Requested)
		}
	})
}

func TestAChainOfThreeRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newCloud(t, 0, hops()...)
		options := awssts.Options{
			Duration: time.Hour,
			Policy:   narrow,
			Chain: []awssts.Hop{
				{
					RoleARN: hub, ExternalID: "shop/1", SourceIdentity: "shop", Duration: 20 * time.Minute,
					Tags: map[string]string{"Team": "reports", "stage": "hub", "empty": ""}, TransitiveTagKeys: []string{"team"},
				},
				{
					RoleARN: spoke, SessionName: "the-last", Duration: 30 * time.Minute, Tags: map[string]string{"stage": "spoke"},
					Policy: narrow, PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
				},
			},
		}
		c, attempt, err := cloud.exchange(options, goodToken())
		if err != nil {
			t.Fatal(err)
		}
		want := cloudtest.Session{
			ARN: "arn:aws:sts::333333333333:assumed-role/spoke/the-last", Account: "333333333333", RoleARN: spoke,
			Expires: time.Now().Add(30 * time.Minute),
			Policy:  narrow, PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
			Tags: map[string]string{"Team": "reports", "stage": "spoke"}, TransitiveTagKeys: []string{"team"},
			SourceIdentity: "shop",
		}
		if diff := gocmp.Diff(want, cloud.served(c), cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("session (-want +got):\n%s", diff)
		}
		if attempt.Requested != 30*time.Minute {
			t.Errorf("requested %v, want the 30m of the last hop", attempt.Requested)
		}

		// Nothing is kept from one exchange to the next.
		if _, _, err := cloud.exchange(options, goodToken()); err != nil {
			t.Fatal(err)
		}
		if first, later := cloud.aws.Calls("AssumeRoleWithWebIdentity"), cloud.aws.Calls("AssumeRole"); first != 2 || later != 4 {
			t.Errorf("two exchanges made %d calls with the token and %d without, want 2 and 4", first, later)
		}
	})
}

// The sessions that only assume the next role live no longer than the shortest that STS gives.
func TestLifetimesAlongAChain(t *testing.T) {
	var asked []string
	x := exchanger(t, awssts.Options{Chain: []awssts.Hop{{RoleARN: hub}, {RoleARN: spoke}}}, func(r *http.Request) (*http.Response, error) {
		_ = r.ParseForm()
		asked = append(asked, r.PostForm.Get("DurationSeconds"))
		body := success(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		return answer(200, strings.ReplaceAll(body, "AssumeRoleWithWebIdentityRes", r.PostForm.Get("Action")+"Res")), nil
	})
	if _, err := x.Exchange(t.Context(), podToken(), refresher.Target{}); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(asked, " "), "900 900 3600"; got != want {
		t.Errorf("DurationSeconds = %s, want %s", got, want)
	}
}

// A signature is good for 15 minutes by the service's clock, so it is made by that clock.
func TestAChainWhenTheNodesClockIsWrong(t *testing.T) {
	for _, ahead := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			cloud := newCloud(t, ahead, hops()...)
			c, _, err := cloud.exchange(awssts.Options{Chain: []awssts.Hop{{RoleARN: hub, ExternalID: "shop/1"}, {RoleARN: spoke}}}, goodToken())
			if err != nil {
				t.Fatalf("with the service's clock %v ahead: %v", ahead, err)
			}
			if left := time.Until(c.Expires) - ahead; left != time.Hour {
				t.Errorf("with the service's clock %v ahead: %v left there, want 1h", ahead, left)
			}
		})
	}
}

func TestAServiceThatTellsAWrongTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newCloud(t, 0, hops()...)
		cloud.aws.SkewDate(-20 * time.Minute) // its clock is right
		_, _, err := cloud.exchange(awssts.Options{Chain: []awssts.Hop{{RoleARN: hub, ExternalID: "shop/1"}}}, goodToken())
		e := refresher.AsError(err)
		if e == nil || e.Class != refresher.Transient || e.Code != "SignatureDoesNotMatch" || !strings.Contains(e.Hint, "clock") {
			t.Errorf("Exchange = %v, want a transient SignatureDoesNotMatch whose hint names the clock", err)
		}
	})
}

func TestSignaturesAreForTheRegionOfTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newCloud(t, 0, hops()...)
		chain := []awssts.Hop{{RoleARN: hub, ExternalID: "shop/1"}}
		for _, o := range []awssts.Options{{Region: "eu-west-1"}, {Region: "aws-global"}, {Region: "eu-west-1", Legacy: true}} {
			o.Chain = chain
			if _, _, err := cloud.exchange(o, goodToken()); err != nil {
				t.Errorf("region %s, legacy %v: %v", o.Region, o.Legacy, err)
			}
		}
	})
}

func TestAccountsThatAreNotTheExpectedOne(t *testing.T) {
	good := success(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	for _, tt := range []struct{ name, body, text string }{
		{"of another account", strings.Replace(good, "::123456789012:", "::999999999999:", 1), "credentials of account 999999999999"},
		{"without an account", strings.Replace(good, "<Arn>arn:aws:sts::123456789012:", "<Arn>", 1), "did not say whose"},
	} {
		x := exchanger(t, awssts.Options{ExpectedAccount: "123456789012"}, func(*http.Request) (*http.Response, error) {
			return answer(200, tt.body), nil
		})
		c, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
		e := refresher.AsError(err)
		if e == nil || e.Class != refresher.Denied || e.Code != awssts.CodeWrongAccount || !strings.Contains(e.Error(), tt.text) {
			t.Errorf("credentials %s: Exchange = %v, want denied with %q", tt.name, err, tt.text)
		}
		if c.Value != nil {
			t.Errorf("credentials %s came with the error", tt.name)
		}
	}
}

func TestAccountWhenTheAnswerHasNone(t *testing.T) {
	body := strings.Replace(success(time.Now().Add(time.Hour).UTC().Format(time.RFC3339)), "<Arn>arn:", "<Arn>", 1)
	x := exchanger(t, awssts.Options{}, func(*http.Request) (*http.Response, error) { return answer(200, body), nil })
	c, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Value.(refresher.AccessKey).AccountID; got != "123456789012" {
		t.Errorf("AccountID = %q, want that of the role", got)
	}
}

func TestFailuresAtAHop(t *testing.T) {
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, tt := range []struct {
		name   string
		status int
		body   string
		class  refresher.Class
		code   string
	}{
		{"denied", 403, refusal("AccessDenied", "no"), refresher.Settling, "AccessDenied"},
		{"unknown key", 403, refusal("InvalidClientTokenId", "The security token included in the request is invalid."), refresher.Transient, "InvalidClientTokenId"},
		{"bad signature", 403, refusal("SignatureDoesNotMatch", "no"), refresher.Transient, "SignatureDoesNotMatch"},
		{"late", 400, refusal("RequestExpired", "no"), refresher.Transient, "RequestExpired"},
		{"expired key", 403, refusal("ExpiredToken", "no"), refresher.Transient, "ExpiredToken"},
		{"expired key by its other name", 400, refusal("ExpiredTokenException", "no"), refresher.Transient, "ExpiredTokenException"},
		{"throttled", 400, refusal("Throttling", "Rate exceeded"), refresher.Throttled, "Throttling"},
		{"bad parameter", 400, refusal("ValidationError", "no"), refresher.Denied, "ValidationError"},
		{"unavailable", 503, "", refresher.Transient, ""},
		{"incomplete", 200, "<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>", refresher.Transient, refresher.CodeBadCredential},
		{"unreadable", 200, "<AssumeRoleResponse><Ass", refresher.Transient, refresher.CodeBadCredential},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := exchanger(t, awssts.Options{Chain: []awssts.Hop{{RoleARN: hub}}}, func(r *http.Request) (*http.Response, error) {
				if _ = r.ParseForm(); r.PostForm.Get("Action") != "AssumeRole" {
					return answer(200, success(expires)), nil
				}
				return answer(tt.status, tt.body), nil
			})
			c, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
			e := refresher.AsError(err)
			if e == nil || e.Class != tt.class || e.Code != tt.code || !strings.Contains(e.Error(), "chain.0, "+hub+": ") {
				t.Errorf("Exchange = %v, want %v %q of chain.0", err, tt.class, tt.code)
			}
			if c.Value != nil {
				t.Error("the credential of the role before was served")
			}
		})
	}
}

func TestAHopWithoutAnAnswer(t *testing.T) {
	x := exchanger(t, awssts.Options{Chain: []awssts.Hop{{RoleARN: hub}}}, func(r *http.Request) (*http.Response, error) {
		if _ = r.ParseForm(); r.PostForm.Get("Action") != "AssumeRole" {
			return answer(200, success(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))), nil
		}
		return nil, errors.New("the moon is full")
	})
	_, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
	if want := "chain.0, " + hub + ": sts.eu-west-1.amazonaws.com: the moon is full"; err == nil || err.Error() != want {
		t.Errorf("Exchange = %v, want %s", err, want)
	}
}
