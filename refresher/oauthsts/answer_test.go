package oauthsts_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/oauthsts"
)

func TestTypeIsWhatTheEndpointSays(t *testing.T) {
	const own = "urn:example:token-type:badge"
	jwtType := func(o *options) { o.RequestedTokenType = refresher.TypeJWT }
	idToken := jwt(`{"aud":["other","app"],"exp":1893553445}`).Reveal()
	tests := []struct {
		name   string
		body   string
		target refresher.Target
		change func(*options)
		want   string
	}{
		{"an access token", answered, refresher.Target{}, jwtType, refresher.TypeAccessToken},
		{"a type of its own", `{"access_token":"t","issued_token_type":"` + own + `","token_type":"N_A","expires_in":9}`, refresher.Target{}, jwtType, own},
		{"no types at all", `{"access_token":"t","expires_in":9}`, refresher.Target{}, func(*options) {}, refresher.TypeAccessToken},
		{"no types, and one was asked for", `{"access_token":"t","expires_in":9}`, refresher.Target{}, jwtType, refresher.TypeJWT},
		{"a word in place of a URI", `{"access_token":"t","issued_token_type":"access_token","expires_in":9}`, refresher.Target{}, func(*options) {}, refresher.TypeAccessToken},
		{"small letters", `{"access_token":"t","token_type":"bearer","expires_in":9}`, refresher.Target{}, func(*options) {}, refresher.TypeAccessToken},
		{"small letters for none", `{"access_token":"t","token_type":"n_a","expires_in":9}`, refresher.Target{}, func(*options) {}, refresher.TypeAccessToken},
		{"an access token that Keycloak calls a refresh token", `{"access_token":"t","issued_token_type":"urn:ietf:params:oauth:token-type:refresh_token","token_type":"Bearer","expires_in":9}`,
			refresher.Target{}, func(*options) {}, refresher.TypeAccessToken},
		{"an ID token", `{"access_token":"` + idToken + `","issued_token_type":"` + refresher.TypeIDToken + `","token_type":"N_A","expires_in":9}`,
			refresher.Target{Audience: "app"}, func(*options) {}, refresher.TypeIDToken},
		{"an ID token that is not called one", `{"access_token":"` + idToken + `","expires_in":9}`,
			refresher.Target{Audience: "app"}, jwtType, refresher.TypeIDToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := exchanger(t, &endpoint{body: test.body}, test.change).Exchange(t.Context(), subject, test.target)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Value.(refresher.Bearer).Type; got != test.want {
				t.Errorf("Type = %q, want %q", got, test.want)
			}
		})
	}
}

// TestExpires runs in a bubble, whose time begins on 2000-01-01. The endpoint's clock is two hours
// behind.
func TestExpires(t *testing.T) {
	assumed := func(o *options) { o.AssumedLifetime = 20 * time.Minute }
	nothing := func(*options) {}
	const later = 946684800 + 3600 // 2000-01-01T01:00:00Z
	tests := []struct {
		name   string
		body   string
		change func(*options)
		want   time.Duration // from the endpoint's now
	}{
		{"a number", `{"access_token":"t","expires_in":300}`, assumed, 300 * time.Second},
		{"a string", `{"access_token":"t","expires_in":"300"}`, nothing, 300 * time.Second},
		{"a fraction", `{"access_token":"t","expires_in":300.9}`, nothing, 300 * time.Second},
		{"an exponent", `{"access_token":"t","expires_in":3e2}`, nothing, 300 * time.Second},
		{"for ever", `{"access_token":"t","expires_in":1e300}`, nothing, 100 * 365 * 24 * time.Hour},
		{"both in the answer and in the token", fmt.Sprintf(`{"access_token":%q,"expires_in":300}`, jwt(fmt.Sprintf(`{"exp":%d}`, later)).Reveal()), assumed, 300 * time.Second},
		{"only in the token", fmt.Sprintf(`{"access_token":%q}`, jwt(fmt.Sprintf(`{"exp":%d}`, later)).Reveal()), assumed, 3 * time.Hour},
		{"null in the answer", fmt.Sprintf(`{"access_token":%q,"expires_in":null}`, jwt(fmt.Sprintf(`{"exp":%d}`, later)).Reveal()), nothing, 3 * time.Hour},
		{"nowhere", `{"access_token":"opaque"}`, assumed, 20 * time.Minute},
		{"a JWT without exp", fmt.Sprintf(`{"access_token":%q}`, jwt(`{}`).Reveal()), assumed, 20 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				behind := time.Now().Add(-2 * time.Hour)
				e := &endpoint{body: test.body, header: map[string]string{"Date": behind.UTC().Format(http.TimeFormat)}}
				c, err := exchanger(t, e, test.change).Exchange(t.Context(), subject, refresher.Target{})
				if err != nil {
					t.Fatal(err)
				}
				if want := behind.Add(test.want); !c.Expires.Equal(want) {
					t.Errorf("Expires = %v, want %v", c.Expires, want)
				}
			})
		})
	}
}

// TestAnswersThatAreRefused has their texts in testdata/answers.golden.
func TestAnswersThatAreRefused(t *testing.T) {
	idToken := refresher.Target{Audience: "https://app.example"}
	tests := []struct {
		name   string
		body   string
		target refresher.Target
		class  refresher.Class
		code   string
	}{
		{"nothing", "", refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"HTML", "<html>", refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"null", "null", refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"half of it", answered[:60], refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"more than it", answered + "x", refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"300 KiB", answered + strings.Repeat(" ", 300<<10), refresher.Target{}, refresher.Transient, ""},
		{"no token", `{"expires_in":300}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"an empty token", `{"access_token":"","expires_in":300}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"a token that breaks a header", `{"access_token":"a\r\nb","expires_in":300}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"a token that is a number", `{"access_token":1,"expires_in":300}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in 0", `{"access_token":"t","expires_in":0}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in 0.9", `{"access_token":"t","expires_in":0.9}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in -1", `{"access_token":"t","expires_in":"-1"}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in -1e300", `{"access_token":"t","expires_in":-1e300}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in a word", `{"access_token":"t","expires_in":"soon"}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in an object", `{"access_token":"t","expires_in":{}}`, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"a token that has expired", fmt.Sprintf(`{"access_token":%q}`, jwt(`{"exp":1}`).Reveal()), refresher.Target{}, refresher.Transient, refresher.CodeBadCredential},
		{"no expiry anywhere", `{"access_token":"t","token_type":"Bearer"}`, refresher.Target{}, refresher.Denied, oauthsts.CodeNoExpiry},
		{"DPoP", `{"access_token":"t","token_type":"DPoP","expires_in":300}`, refresher.Target{}, refresher.Denied, oauthsts.CodeTokenTypeUnsupported},
		{"a type that echoes a token", fmt.Sprintf(`{"access_token":"t","token_type":%q,"expires_in":300}`, subject.Raw.Reveal()), refresher.Target{}, refresher.Denied, oauthsts.CodeTokenTypeUnsupported},
		{"an access token for an ID token", answered, idToken, refresher.Denied, oauthsts.CodeIDTokenUnsupported},
		{"an ID token for somebody else", fmt.Sprintf(`{"access_token":%q,"expires_in":300}`, jwt(`{"aud":"wisp","exp":1893553445}`).Reveal()), idToken, refresher.Denied, oauthsts.CodeIDTokenUnsupported},
		{"an ID token that is none", `{"access_token":"t","issued_token_type":"` + refresher.TypeIDToken + `","expires_in":300}`, idToken, refresher.Denied, oauthsts.CodeIDTokenUnsupported},
	}
	var said strings.Builder
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := exchanger(t, &endpoint{body: test.body}).Exchange(t.Context(), subject, test.target)
			e, ok := errors.AsType[*refresher.Error](err)
			if !ok {
				t.Fatalf("error = %v, want a *refresher.Error", err)
			}
			if e.Class != test.class || e.Code != test.code {
				t.Errorf("error %q is %v %q, want %v %q", e, e.Class, e.Code, test.class, test.code)
			}
			fmt.Fprintf(&said, "%s\n  %v\n  hint: %s\n", test.name, e, e.Hint)
		})
	}
	checkGolden(t, "answers", said.String())
}

func FuzzAnswer(f *testing.F) {
	f.Add(answered)
	f.Add(`{"access_token":"t","token_type":"N_A","expires_in":"1e3"}`)
	f.Add(fmt.Sprintf(`{"access_token":%q}`, jwt(`{"exp":4102444800}`).Reveal()))
	f.Add(`{"access_token":"t","issued_token_type":"%","token_type":"DPoP"}`)
	f.Fuzz(func(t *testing.T, body string) {
		c, err := exchanger(t, &endpoint{body: body}).Exchange(t.Context(), subject, refresher.Target{})
		if err != nil {
			if _, ok := errors.AsType[*refresher.Error](err); !ok {
				t.Errorf("error %v has no class", err)
			}
			return
		}
		b, ok := c.Value.(refresher.Bearer)
		if !ok || b.Token == "" || strings.ContainsAny(b.Token.Reveal(), " \r\n") || !strings.Contains(b.Type, ":") || !c.Expires.After(time.Now().Add(-time.Second)) {
			t.Errorf("accepted %q and gave %#v", body, c)
		}
	})
}
