package googlests_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

var update = flag.Bool("update", false, "write golden files")

const (
	audience = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/clusters/providers/prod"
	account  = "reports@acme-prod.iam.gserviceaccount.com"
	middle   = "middle@acme-prod.iam.gserviceaccount.com"

	workforce = "//iam.googleapis.com/locations/global/workforcePools/staff-pool/providers/okta"
)

// google answers the two steps in memory and keeps the requests. Its token answers are good unless
// a test replaces them.
type google struct {
	token, iam answer
	id         answer

	mu       sync.Mutex
	requests []recorded // guarded by mu
}

type answer struct {
	status int
	body   string
	header map[string]string
	err    error
}

type recorded struct {
	method, url string
	header      http.Header
	body        string
}

const (
	tokenAnswer = `{"access_token":"federated-token","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3599}`
	iamAnswer   = `{"accessToken":"account-token","expireTime":"2030-01-02T03:04:05Z"}`
)

func newGoogle() *google {
	return &google{
		token: answer{status: 200, body: tokenAnswer},
		iam:   answer{status: 200, body: iamAnswer},
		id:    answer{status: 200, body: `{"token":"` + jwt(`{"aud":"https://app.example","exp":1893553445}`) + `"}`},
	}
}

func (g *google) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.requests = append(g.requests, recorded{req.Method, req.URL.String(), req.Header.Clone(), string(body)})
	g.mu.Unlock()
	a := g.token
	switch {
	case strings.HasSuffix(req.URL.Path, ":generateAccessToken"):
		a = g.iam
	case strings.HasSuffix(req.URL.Path, ":generateIdToken"):
		a = g.id
	}
	if a.err != nil {
		return nil, a.err
	}
	resp := &http.Response{
		StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader(a.body)), Request: req,
	}
	for name, value := range a.header {
		resp.Header.Set(name, value)
	}
	return resp, nil
}

// steps names the requests so far, in order, by the ends of their paths.
func (g *google) steps() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var steps []string
	for _, r := range g.requests {
		steps = append(steps, r.url[strings.LastIndexAny(r.url, "/:")+1:])
	}
	return steps
}

// exchanger fills in Audience and Transport, then applies changes.
func exchanger(t testing.TB, g *google, changes ...func(*googlests.Options)) *googlests.Exchanger {
	t.Helper()
	transport, err := upstream.New(upstream.Options{Base: g, AllowInsecureLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	o := googlests.Options{Audience: audience, Transport: transport}
	for _, change := range changes {
		change(&o)
	}
	x, err := googlests.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func impersonating(o *googlests.Options) { o.ServiceAccount = account }

// jwt makes an unsigned token of the claims.
func jwt(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
}

var subject = refresher.Token{
	Raw:  refresher.Secret(jwt(`{"iss":"https://oidc.example","sub":"system:serviceaccount:reports:runner","aud":["https://kubernetes.default.svc"],"iat":1893549845,"exp":1893553445}`)),
	Type: refresher.TypeJWT,
}

func TestRequestsOnTheWire(t *testing.T) {
	tests := []struct {
		golden  string
		subject refresher.Token // zero means the JWT
		target  refresher.Target
		change  func(*googlests.Options)
		want    []string
	}{
		{
			golden: "direct",
			change: func(*googlests.Options) {},
			want:   []string{"token"},
		},
		{
			golden: "direct_scopes_of_the_target",
			target: refresher.Target{Scope: refresher.Scopes("https://www.googleapis.com/auth/pubsub", "email")},
			change: func(o *googlests.Options) { o.SubjectTokenType = refresher.TypeIDToken },
			want:   []string{"token"},
		},
		{
			golden: "workforce_with_user_project",
			change: func(o *googlests.Options) {
				o.Audience, o.UserProject = workforce, "987654321"
			},
			want: []string{"token"},
		},
		{
			golden: "workforce_with_client",
			change: func(o *googlests.Options) {
				o.Audience, o.UserProject = workforce, "987654321"
				o.ClientID, o.ClientSecret = "app", "open sesame"
			},
			want: []string{"token"},
		},
		{
			// A user project is for the token exchange, a quota project for the impersonation.
			golden: "workforce_with_both_projects",
			change: func(o *googlests.Options) {
				impersonating(o)
				o.Audience, o.UserProject, o.QuotaProject = workforce, "987654321", "acme-billing"
			},
			want: []string{"token", "generateAccessToken"},
		},
		{
			golden:  "saml",
			subject: refresher.Token{Raw: "PHNhbWxwOlJlc3BvbnNlPg+/==", Type: refresher.TypeSAML2},
			change:  func(*googlests.Options) {},
			want:    []string{"token"},
		},
		{
			// The request is URL-encoded JSON, which the form encodes once more.
			golden:  "aws",
			subject: refresher.Token{Raw: "%7B%22url%22%3A%22https%3A%2F%2Fsts.eu-west-1.amazonaws.com%2F%22%7D", Type: refresher.TypeAWSRequest},
			change:  func(*googlests.Options) {},
			want:    []string{"token"},
		},
		{
			golden: "access_token",
			change: impersonating,
			want:   []string{"token", "generateAccessToken"},
		},
		{
			golden: "access_token_all_options",
			change: func(o *googlests.Options) {
				impersonating(o)
				o.Lifetime = 43200e9
				o.Scopes = []string{"https://www.googleapis.com/auth/devstorage.read_only", "openid"}
				o.Delegates = []string{middle, "123456789012345678901"}
				o.QuotaProject = "acme-billing"
				o.UniverseDomain = "cloud.example"
			},
			want: []string{"token", "generateAccessToken"},
		},
		{
			golden: "id_token",
			target: refresher.Target{Audience: "https://app.example/?a=b&c"},
			change: func(o *googlests.Options) {
				impersonating(o)
				o.Delegates = []string{middle}
				o.QuotaProject = "acme-billing"
				o.TokenURL = "http://127.0.0.1:8080/sts/v1/token"
				o.ImpersonationURL = "http://127.0.0.1:8080/iam/"
			},
			want: []string{"token", "generateIdToken"},
		},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			g := newGoogle()
			token := cmp.Or(test.subject, subject)
			if _, err := exchanger(t, g, test.change).Exchange(t.Context(), token, test.target); err != nil {
				t.Fatal(err)
			}
			if got := g.steps(); !slices.Equal(got, test.want) {
				t.Errorf("steps = %v, want %v", got, test.want)
			}
			checkGolden(t, test.golden, g.dump())
		})
	}
}

// goVersion is the one part of a request that differs between builds.
var goVersion = regexp.MustCompile(`gl-go/\S+`)

func (g *google) dump() []byte {
	var b bytes.Buffer
	for _, r := range g.requests {
		fmt.Fprintf(&b, "%s %s\n", r.method, r.url)
		var names []string
		for name := range r.header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&b, "%s: %s\n", name, goVersion.ReplaceAllString(strings.Join(r.header[name], ", "), "gl-go/VERSION"))
		}
		fmt.Fprintf(&b, "\n%s\n\n", r.body)
	}
	return b.Bytes()
}

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// attempt returns a context with an Attempt, as the engine makes it.
func attempt(t testing.TB) (context.Context, *refresher.Attempt) {
	a := new(refresher.Attempt)
	return refresher.WithAttempt(t.Context(), a), a
}
