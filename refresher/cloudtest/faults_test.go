package cloudtest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

func TestFaultsHitInOrderAndWearOff(t *testing.T) {
	w := newWorld(t)
	a := newAWS(w)
	a.Inject(cloudtest.Fault{Times: 2, Status: 503, Body: "no healthy upstream", Header: http.Header{"Retry-After": {"soon"}}})
	a.Inject(cloudtest.Fault{Times: 1, Malformed: true})
	for i, want := range []struct {
		status int
		body   string
	}{
		{503, "no healthy upstream"}, {503, "no healthy upstream"}, {200, "<AccessKeyId>ASIA"}, {200, "</AssumeRoleWithWebIdentityResponse>\n"},
	} {
		answer, body := w.postForm(stsURL, w.webIdentityForm())
		if answer.StatusCode != want.status || !strings.HasSuffix(body, want.body) {
			t.Errorf("answer %d = %s %s, want %d …%s", i, answer.Status, body, want.status, want.body)
		}
		if got := answer.Header.Get("Retry-After"); want.status == 503 && got != "soon" {
			t.Errorf("Retry-After of answer %d = %q, want soon", i, got)
		}
	}
	if got := a.Calls(""); got != 4 {
		t.Errorf("Calls = %d, want 4", got)
	}
}

func TestFaultsHitOneOperation(t *testing.T) {
	w := newWorld(t)
	g := newGoogle(w)
	g.Inject(cloudtest.Fault{Operation: "generateAccessToken", Status: 503})
	token := w.federated(cloudtest.TokenOptions{}) // the other operation works
	for range 3 {
		if answer, _ := w.impersonate(token, reports+":generateAccessToken", `{}`); answer.StatusCode != 503 {
			t.Errorf("generateAccessToken = %s, want 503", answer.Status)
		}
	}
	g.Clear()
	if answer, body := w.impersonate(token, reports+":generateAccessToken", `{"scope":["`+scope+`"]}`); answer.StatusCode != 200 {
		t.Errorf("generateAccessToken after Clear = %s %s, want 200", answer.Status, body)
	}
	if got := g.Calls("generateAccessToken"); got != 4 {
		t.Errorf("Calls(generateAccessToken) = %d, want 4", got)
	}
}

func TestFaultsNeedAnAnswer(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Inject of an empty fault did not panic")
		}
	}()
	newWorld(t).issuer.Inject(cloudtest.Fault{})
}

func TestSkewDateMovesNothingButTheHeader(t *testing.T) {
	w := newWorld(t)
	newAWS(w).SkewDate(2 * time.Hour)
	answer, body := w.postForm(stsURL, w.webIdentityForm())
	if got, want := answer.Header.Get("Date"), "Fri, 02 Jan 2026 05:04:05 GMT"; got != want {
		t.Errorf("Date = %q, want %q", got, want)
	}
	if want := "<Expiration>2026-01-02T04:04:05Z<"; !strings.Contains(body, want) {
		t.Errorf("answer = %s, want %s in it", body, want)
	}
}

func TestLimitLifetimeShortensCredentials(t *testing.T) {
	w := newWorld(t)
	a, g, e := newAWS(w), newGoogle(w), newEntra(w)
	for _, f := range []interface{ LimitLifetime(time.Duration) }{a, g, e} {
		f.LimitLifetime(20 * time.Second)
	}
	_, body := w.postForm(stsURL, w.webIdentityForm())
	if want := "<Expiration>2026-01-02T03:04:25Z<"; !strings.Contains(body, want) {
		t.Errorf("AWS answers %s, want %s in it", body, want)
	}
	_, body = w.postForm(tokenURL, w.exchangeForm())
	if want := `"expires_in":20`; !strings.Contains(body, want) {
		t.Errorf("Google answers %s, want %s in it", body, want)
	}
	_, body = w.impersonate(field(w, body, "access_token"), reports+":generateAccessToken", `{"scope":["`+scope+`"]}`)
	if want := `"expireTime":"2026-01-02T03:04:25Z"`; !strings.Contains(body, want) {
		t.Errorf("IAM answers %s, want %s in it", body, want)
	}
	_, body = w.postForm(entraURL, w.entraForm())
	if want := `"expires_in":20`; !strings.Contains(body, want) {
		t.Errorf("Entra answers %s, want %s in it", body, want)
	}
	a.LimitLifetime(-time.Minute)
	_, body = w.postForm(stsURL, w.webIdentityForm())
	if want := "<Expiration>2026-01-02T03:03:05Z<"; !strings.Contains(body, want) {
		t.Errorf("AWS answers %s, want %s in it", body, want)
	}
}

func TestDelayHoldsEachAnswer(t *testing.T) {
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL})
	synctest.Test(t, func(t *testing.T) {
		net := cloudtest.NewNetwork()
		net.Handle("oidc.example.test", issuer)
		issuer.Delay(3 * time.Second)
		began := time.Now()
		answer, err := (&http.Client{Transport: net}).Get(issuerURL + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("the answer took %v, want 3s", got)
		}
		if got, want := answer.Header.Get("Date"), time.Now().UTC().Format(http.TimeFormat); got != want {
			t.Errorf("Date = %q, want that of the answer, %q", got, want)
		}
	})
}

func TestRefuseOverASocketClosesTheConnection(t *testing.T) {
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL})
	server := httptest.NewUnstartedServer(issuer)
	server.Start()
	defer server.Close()
	issuer.Refuse(true)
	answer, err := server.Client().Get(server.URL)
	if err == nil {
		answer.Body.Close()
		t.Fatalf("Get = %s, want an error", answer.Status)
	}
	if !strings.HasSuffix(err.Error(), "EOF") {
		t.Errorf("Get = %v, want EOF", err)
	}
	issuer.Refuse(false)
	answer, err = server.Client().Get(server.URL + "/cluster/openid/v1/jwks")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || issuer.Calls("") != 1 {
		t.Errorf("Get = %s after %d calls, want 200 after 1", answer.Status, issuer.Calls(""))
	}
}

// For the race detector.
func TestFakesAreSafeForConcurrentUse(t *testing.T) {
	w := newWorld(t)
	a, g, e := newAWS(w), newGoogle(w), newEntra(w)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			checkAWS(w, "")(w.postForm(stsURL, w.webIdentityForm()))
			checkOAuth(w, "", 0)(w.postForm(tokenURL, w.exchangeForm()))
			checkEntra(w, "")(w.postForm(entraURL, w.entraForm()))
		})
		workers.Go(func() {
			w.issuer.Rotate()
			a.PutRole(cloudtest.Role{ARN: roleARN + "2"})
			g.PutServiceAccount(cloudtest.ServiceAccount{Email: "x"})
			e.PutApp(cloudtest.App{TenantID: tenantID, ClientID: "x"})
			e.Inject(cloudtest.Fault{Operation: "other", Status: 500})
			w.net.Handle("x", nil)
		})
	}
	workers.Wait()
	if got := a.Calls("") + g.Calls("") + e.Calls(""); got != 12 {
		t.Errorf("Calls = %d, want 12", got)
	}
}
