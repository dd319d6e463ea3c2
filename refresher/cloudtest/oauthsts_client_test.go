package cloudtest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// clientKey signs assertions of the client "signer".
var clientKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

// clientAssertion signs a good assertion with some claims changed; nil removes one.
func clientAssertion(t *testing.T, key any, kid string, change map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": "signer", "sub": "signer", "aud": ssoToken, "jti": rand.Text(),
		"iat": start.Unix(), "exp": start.Add(time.Minute).Unix(),
	}
	for name, value := range change {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestOAuthSTSClients(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := newWorld(t)
	type change = func(r *http.Request, form map[string]string)
	basic := func(pair string) change {
		return func(r *http.Request, form map[string]string) {
			form["client_id"] = ""
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		}
	}
	fields := func(pairs ...string) change {
		return func(_ *http.Request, form map[string]string) {
			for i := 0; i < len(pairs); i += 2 {
				form[pairs[i]] = pairs[i+1]
			}
		}
	}
	signed := func(key any, kid string, claims map[string]any) change {
		return fields("client_id", "", "client_assertion", clientAssertion(t, key, kid, claims),
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}
	claims := func(pairs ...any) change {
		set := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			set[pairs[i].(string)] = pairs[i+1]
		}
		return signed(clientKey, "k1", set)
	}
	const unknown = "401 invalid_client: unknown client, or wrong credentials"
	for _, c := range []struct {
		name   string
		change change
		want   string
	}{
		{"nobody", fields("client_id", ""), "401 invalid_client: the client does not say who it is"},
		{"an unknown client", fields("client_id", "x"), unknown},
		{"a secret one without its secret", fields("client_id", "post"), "401 invalid_client: the client may not use the method none"},

		{"basic", basic("basic%3A1:a%2Bb+c%25"), ""},
		{"basic, not encoded", basic("basic:1:a+b c%"), "401 invalid_client: the Authorization header does not hold"},
		{"basic with a wrong secret", basic("basic%3A1:x"), unknown},
		{"basic of an unknown client", basic("x:y"), unknown},
		{"basic without a colon", basic("x"), "401 invalid_client: the Authorization header does not hold"},
		{"basic that is not base64", func(r *http.Request, _ map[string]string) { r.Header.Set("Authorization", "Basic !") }, "401 invalid_client: the Authorization header is not Basic"},
		{"a bearer token", func(r *http.Request, _ map[string]string) { r.Header.Set("Authorization", "Bearer eA==") }, "401 invalid_client: the Authorization header is not Basic"},
		{"basic for another client", func(r *http.Request, form map[string]string) {
			basic("basic%3A1:a%2Bb+c%25")(r, form)
			form["client_id"] = "public"
		}, "401 invalid_client: client_id differs"},
		{"basic for one of post", basic("post:hunter2"), "401 invalid_client: the client may not use the method client_secret_basic"},
		{"basic and post", func(r *http.Request, form map[string]string) {
			r.SetBasicAuth("post", "hunter2")
			form["client_id"], form["client_secret"] = "post", "hunter2"
		}, "400 invalid_request: more than one method"},

		{"post", fields("client_id", "post", "client_secret", "hunter2"), ""},
		{"post with a wrong secret", fields("client_id", "post", "client_secret", "hunter3"), unknown},
		{"post for one of basic", fields("client_id", "basic:1", "client_secret", "a+b c%"), "401 invalid_client: the client may not use the method client_secret_post"},

		{"an assertion", claims(), ""},
		{"an assertion without a key id", signed(clientKey, "", nil), ""},
		{"an assertion for the issuer", claims("aud", []string{"https://x.example", ssoURL}), ""},
		{"an assertion with the client's id", func(r *http.Request, form map[string]string) {
			claims()(r, form)
			form["client_id"] = "signer"
		}, ""},
		{"an assertion with another's id", func(r *http.Request, form map[string]string) {
			claims()(r, form)
			form["client_id"] = "public"
		}, "401 invalid_client: client_id differs"},
		{"an assertion without its type", func(r *http.Request, form map[string]string) {
			claims()(r, form)
			form["client_assertion_type"] = ""
		}, "401 invalid_client: client_assertion_type is not"},
		{"the type without an assertion", fields("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), "401 invalid_client: client_assertion: not a JWT"},
		{"another key", signed(other, "k1", nil), unknown},
		{"another key id", signed(clientKey, "k2", nil), unknown},
		{"another issuer", claims("iss", "signer2"), "401 invalid_client: client_assertion: iss and sub"},
		{"another audience", claims("aud", ssoURL+"/"), "401 invalid_client: client_assertion: aud"},
		{"no audience", claims("aud", nil), "401 invalid_client: client_assertion: aud"},
		{"no expiry", claims("exp", nil), "401 invalid_client: client_assertion: exp is missing"},
		{"expired", claims("exp", start.Unix()), "401 invalid_client: client_assertion: exp is missing or has passed"},
		{"expires late", claims("exp", start.Add(301*time.Second).Unix()), "401 invalid_client: client_assertion: exp is more than"},
		{"no time", claims("iat", nil), "401 invalid_client: client_assertion: iat"},
		{"from the future", claims("iat", start.Add(time.Second).Unix()), "401 invalid_client: client_assertion: iat"},
		{"not valid yet", claims("nbf", start.Add(time.Second).Unix()), "401 invalid_client: client_assertion: not valid yet"},
		{"no id", claims("jti", nil), "401 invalid_client: client_assertion: jti"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newOAuthSTS(w)
			form := w.ssoForm()
			marked := w.request("POST", ssoToken, "")
			c.change(marked, form)
			r := w.ssoRequest(form)
			for name, values := range marked.Header {
				r.Header[name] = values
			}
			answer, body := w.send(r)
			checkSSO(w, c.want)(answer, body)
			challenged := answer.Header.Get("WWW-Authenticate") != ""
			if want := answer.StatusCode == 401 && r.Header.Get("Authorization") != ""; challenged != want {
				t.Errorf("WWW-Authenticate is there: %v, want %v", challenged, want)
			}
		})
	}
}

func TestOAuthSTSRefusesReplays(t *testing.T) {
	w := newWorld(t)
	newOAuthSTS(w)
	send := func(client, jti string) func(string) {
		return func(want string) {
			t.Helper()
			form := with(w.ssoForm(), "client_id", "")
			form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
			form["client_assertion"] = clientAssertion(t, clientKey, "k1", map[string]any{
				"iss": client, "sub": client, "jti": jti, "exp": w.now.Add(time.Minute).Unix(),
			})
			checkSSO(w, want)(w.postForm(ssoToken, form))
		}
	}
	const replayed = "401 invalid_client: client_assertion: seen before"
	send("signer", "a")("")
	send("signer", "a")(replayed)
	send("signer", "b")("")
	send("signer2", "a")("")
	w.now = w.now.Add(59 * time.Second)
	send("signer", "a")(replayed)
	w.now = w.now.Add(time.Second)
	send("signer", "a")("")
}

func TestOAuthSTSAnonymousClients(t *testing.T) {
	w := newWorld(t)
	s := cloudtest.NewOAuthSTS(cloudtest.OAuthSTSOptions{
		URL: "http://127.0.0.1:8080/", Anonymous: true, Transport: w.net, Now: w.clock,
		Trusted: []cloudtest.Trust{{Issuer: issuerURL, Audiences: []string{ssoURL}}},
	})
	w.net.Handle("127.0.0.1", s)
	if got, want := s.TokenURL(), "http://127.0.0.1:8080/token"; got != want {
		t.Errorf("TokenURL() = %q, want %q", got, want)
	}
	form := w.ssoForm()
	form["client_id"], form["audience"], form["scope"] = "", "", ""
	answer, body := w.postForm(s.TokenURL(), form)
	checkSSO(w, "")(answer, body)
	got, err := s.Validate(field(w, body, "access_token"))
	if err != nil || got.ClientID != "" || !cmp.Equal(got.Audience, []string{"http://127.0.0.1:8080/"}) {
		t.Errorf("Validate = %+v, %v, want a token without a client for the server itself", got, err)
	}
	form["subject_token_type"] = tokenType + "saml2"
	checkSSO(w, "400 invalid_request: subject_token_type")(w.postForm(s.TokenURL(), form))
}
