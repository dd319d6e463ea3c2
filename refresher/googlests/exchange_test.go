package googlests_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
)

func TestThreeExchangesMakeThreeTokenRequests(t *testing.T) {
	g := newGoogle()
	x := exchanger(t, g)
	for range 3 {
		if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.steps(); !slices.Equal(got, []string{"token", "token", "token"}) {
		t.Errorf("requests = %v, want three token requests: the library's cache must not be in the way", got)
	}
}

func TestFederatedTokenIsNotKeptWhenImpersonationFails(t *testing.T) {
	g := newGoogle()
	g.iam = answer{status: 503, body: `{"error":{"code":503,"message":"The service is currently unavailable.","status":"UNAVAILABLE"}}`}
	x := exchanger(t, g, impersonating)
	for range 2 {
		if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err == nil {
			t.Fatal("Exchange succeeded without an account token")
		}
	}
	want := []string{"token", "generateAccessToken", "token", "generateAccessToken"}
	if got := g.steps(); !slices.Equal(got, want) {
		t.Errorf("requests = %v, want %v", got, want)
	}
}

func TestDirectTokenExpiresInTheServicesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
		g := newGoogle()
		g.token.header = map[string]string{"Date": ahead.Format("Mon, 02 Jan 2006 15:04:05 GMT")}
		ctx, a := attempt(t)
		c, err := exchanger(t, g).Exchange(ctx, subject, refresher.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if want := ahead.Add(3599 * time.Second); !c.Expires.Equal(want) {
			t.Errorf("Expires = %v, want the answer's Date plus expires_in, %v", c.Expires, want)
		}
		if got := a.Data().Requested; got != 0 {
			t.Errorf("Requested = %v, want 0: the token service takes no lifetime", got)
		}
		want := refresher.Bearer{Token: "federated-token", Type: refresher.TypeAccessToken}
		if c.Value != want {
			t.Errorf("Value = %#v, want %#v", c.Value, want)
		}
	})
}

func TestDirectTokenExpiresByTheLocalClockWithoutADate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := exchanger(t, newGoogle()).Exchange(t.Context(), subject, refresher.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Now().Add(3599 * time.Second); !c.Expires.Equal(want) {
			t.Errorf("Expires = %v, want %v", c.Expires, want)
		}
	})
}

func TestAccountTokenExpiresAsPublished(t *testing.T) {
	ctx, a := attempt(t)
	c, err := exchanger(t, newGoogle(), impersonating, func(o *googlests.Options) { o.Lifetime = 1200 * time.Second }).
		Exchange(ctx, subject, refresher.Target{})
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC); !c.Expires.Equal(want) {
		t.Errorf("Expires = %v, want %v", c.Expires, want)
	}
	if got := a.Data().Requested; got != 1200*time.Second {
		t.Errorf("Requested = %v, want 20m", got)
	}
	if want := (refresher.Bearer{Token: "account-token", Type: refresher.TypeAccessToken}); c.Value != want {
		t.Errorf("Value = %#v, want %#v", c.Value, want)
	}
}

func TestIDTokenExpiresByItsOwnClaim(t *testing.T) {
	ctx, a := attempt(t)
	c, err := exchanger(t, newGoogle(), impersonating).
		Exchange(ctx, subject, refresher.Target{Audience: "https://app.example"})
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Unix(1893553445, 0); !c.Expires.Equal(want) {
		t.Errorf("Expires = %v, want %v", c.Expires, want)
	}
	if b, ok := c.Value.(refresher.Bearer); !ok || b.Type != refresher.TypeIDToken || b.Token == "" {
		t.Errorf("Value = %#v, want an ID token", c.Value)
	}
	if got := a.Data().Requested; got != 0 {
		t.Errorf("Requested = %v, want 0: ID tokens take no lifetime", got)
	}
}

func TestIDTokenNeedsAServiceAccount(t *testing.T) {
	g := newGoogle()
	_, err := exchanger(t, g).Exchange(t.Context(), subject, refresher.Target{Audience: "https://app.example"})
	e := refresher.AsError(err)
	if e == nil || e.Class != refresher.Denied || e.Code != googlests.CodeIDTokenUnsupported || e.Hint == "" {
		t.Errorf("error = %#v, want denied %s with a hint", e, googlests.CodeIDTokenUnsupported)
	}
	if got := g.steps(); len(got) != 0 {
		t.Errorf("requests = %v, want none", got)
	}
}

func TestTokenTypeFollowsTheTokenUnlessConfigured(t *testing.T) {
	saml := refresher.Token{Raw: "PHNhbWw+", Type: refresher.TypeSAML2}
	for _, test := range []struct{ configured, want string }{
		{"", "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Asaml2"},
		{refresher.TypeIDToken, "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token"},
	} {
		g := newGoogle()
		x := exchanger(t, g, func(o *googlests.Options) { o.SubjectTokenType = test.configured })
		if _, err := x.Exchange(t.Context(), saml, refresher.Target{}); err != nil {
			t.Fatal(err)
		}
		if body := g.requests[0].body; !strings.Contains(body, test.want) {
			t.Errorf("configured %q: body = %s, want it to hold %s", test.configured, body, test.want)
		}
	}
}

func TestExchangesRunConcurrently(t *testing.T) {
	g := newGoogle()
	x := exchanger(t, g, impersonating)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(g.steps()); got != 16 {
		t.Errorf("requests = %d, want 16", got)
	}
}

func TestDefaultScope(t *testing.T) {
	x := exchanger(t, newGoogle(), func(o *googlests.Options) { o.Scopes = []string{"openid", "email"} })
	if got, want := x.DefaultScope(), "email openid"; got != want {
		t.Errorf("DefaultScope() = %q, want %q", got, want)
	}
}
