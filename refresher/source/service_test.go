package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

var (
	_ refresher.Source = (*source.URL)(nil)
	_ refresher.Source = (*source.GitHubActions)(nil)
	_ refresher.Source = (*source.AzureIMDS)(nil)
	_ refresher.Source = (*source.GCEMetadata)(nil)
)

// secret is in everything that the services' sources are given and must not show.
const secret = "hunter2-hunter2"

// services are the sources that ask somebody over HTTP.
var services = []struct {
	name string
	make func(testing.TB, http.RoundTripper) refresher.Source
	// header and body make a good answer out of a token.
	header []string
	body   func(token string) string
}{
	{
		"url",
		func(t testing.TB, base http.RoundTripper) refresher.Source {
			s, err := source.NewURL(source.URLOptions{
				URL:       "https://token.example:8443/of/" + secret + "?key=" + secret,
				Headers:   map[string]refresher.Secret{"Authorization": "Bearer " + secret, "x-workload": "reports"},
				Transport: transport(t, base),
			})
			return must(t, s, err)
		},
		nil, func(token string) string { return token },
	},
	{
		"url_json",
		func(t testing.TB, base http.RoundTripper) refresher.Source {
			s, err := source.NewURL(source.URLOptions{
				URL: "http://localhost:8080/token", Format: source.Format{JSONField: "subject_token"},
				Type: refresher.TypeIDToken, Transport: transport(t, base),
			})
			return must(t, s, err)
		},
		nil, func(token string) string { return fmt.Sprintf(`{"subject_token":%q}`, token) },
	},
	{
		"github",
		func(t testing.TB, base http.RoundTripper) refresher.Source {
			s, err := source.NewGitHubActions(source.GitHubActionsOptions{
				RequestURL:   "https://run.actions.githubusercontent.com/45//idtoken/1/2?api-version=2.0",
				RequestToken: secret,
				Audience:     "//iam.googleapis.com/projects/1/x?a=b&c d",
				Transport:    transport(t, base),
			})
			return must(t, s, err)
		},
		nil, func(token string) string { return fmt.Sprintf(`{"count":%d,"value":%q}`, len(token), token) },
	},
	{
		"azureimds",
		func(t testing.TB, base http.RoundTripper) refresher.Source {
			s, err := source.NewAzureIMDS(source.AzureIMDSOptions{
				Resource: "api://reports", ClientID: "0A1b2c3d-0000-4000-8000-00000000000f", Transport: transport(t, base),
			})
			return must(t, s, err)
		},
		nil, func(token string) string {
			return fmt.Sprintf(`{"access_token":%q,"expires_in":"3599","token_type":"Bearer"}`, token)
		},
	},
	{
		"gcemetadata",
		func(t testing.TB, base http.RoundTripper) refresher.Source {
			s, err := source.NewGCEMetadata(source.GCEMetadataOptions{
				Audience: "https://sts.example/?a=b&c", ServiceAccount: "reports@acme-prod.iam.gserviceaccount.com", Transport: transport(t, base),
			})
			return must(t, s, err)
		},
		[]string{"Metadata-Flavor", "Google"}, func(token string) string { return token },
	},
}

func must[S refresher.Source](t testing.TB, s S, err error) refresher.Source {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRequestsOfTheServices(t *testing.T) {
	var b strings.Builder
	for _, s := range services {
		token := hourToken(1)
		w := answers(200, s.body(token+"\n"), s.header...)
		got, err := s.make(t, w).Token(t.Context())
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if got.Raw.Reveal() != token || got.Type == "" || got.Expires.IsZero() || got.Issued.IsZero() {
			t.Errorf("%s: Token = %+v, want the one in the answer", s.name, got)
		}
		fmt.Fprintf(&b, "# %s: %s\n%s\n", s.name, got.Type, w.said())
	}
	golden(t, "service_requests", b.String())
}

// mishaps are what can go wrong with any service. header and body are those of a good answer.
var mishaps = []struct {
	name string
	wire func(header []string, body func(string) string) *wire
}{
	{"a redirect", func(h []string, _ func(string) string) *wire {
		return answers(307, "", append(h, "Location", "https://evil.example/"+secret)...)
	}},
	{"400 with a page", status(400, page)},
	{"401 without a word", status(401, "")},
	{"403 with a page", status(403, page)},
	{"404 with a page", status(404, page)},
	{"410 with a page", status(410, page)},
	{"429 with Retry-After", status(429, "", "Retry-After", "120")},
	{"500 with a page", status(500, page, "X-Ms-Request-Id", "4e5f6a7b")},
	{"503 with Retry-After", status(503, "", "Retry-After", "7")},
	{"an empty answer", status(200, "")},
	{"a page", status(200, page)},
	{"an array", status(200, `["x"]`)},
	{"an object without the field", status(200, `{"Value":"x","token":"y"}`)},
	{"the field is a number", status(200, `{"subject_token":1,"value":1,"access_token":1}`)},
	{"the field is null", status(200, `{"subject_token":null,"value":null,"access_token":null}`)},
	{"an opaque token", func(h []string, body func(string) string) *wire { return answers(200, body("opaque"), h...) }},
	{"white space in the token", func(h []string, body func(string) string) *wire {
		return answers(200, body(strings.Replace(hourToken(1), ".", ". ", 1)), h...)
	}},
	{"a byte order mark", func(h []string, body func(string) string) *wire {
		return answers(200, "\xef\xbb\xbf"+body(hourToken(1)), h...)
	}},
	{"a token that never ends to be valid", func(h []string, body func(string) string) *wire {
		return answers(200, body(jwt(claims{"iss": "x"})), h...)
	}},
	{"64 KiB and one byte", func(h []string, body func(string) string) *wire {
		text := body(hourToken(1))
		return answers(200, text+strings.Repeat(" ", 64<<10+1-len(text)), h...)
	}},
	{"a connection that ends in the middle", func(h []string, body func(string) string) *wire {
		return &wire{answer: func(r *http.Request) (*http.Response, error) {
			half := io.MultiReader(strings.NewReader(body(hourToken(1))[:40]), broken{io.ErrUnexpectedEOF})
			return response(r, 200, io.NopCloser(half), h...), nil
		}}
	}},
}

const page = "<!DOCTYPE html>\n<html><title>Sign in to the hotel's network</title></html>\n"

func status(code int, body string, header ...string) func([]string, func(string) string) *wire {
	return func(good []string, _ func(string) string) *wire {
		return answers(code, body, append(slices.Clone(good), header...)...)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestMishapsOfTheServices(t *testing.T) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			var b strings.Builder
			for _, m := range mishaps {
				w := m.wire(slices.Clone(s.header), s.body)
				tell(t, &b, m.name, s.make(t, w))
				if len(w.requests) != 1 {
					t.Errorf("%s: %d requests, want 1", m.name, len(w.requests))
				}
			}
			network := cloudtest.NewNetwork()
			tell(t, &b, "no such name", s.make(t, network))
			for _, host := range []string{"token.example", "localhost", "run.actions.githubusercontent.com", "169.254.169.254"} {
				network.Handle(host, nil)
			}
			tell(t, &b, "nothing listens", s.make(t, network))
			synctest.Test(t, func(t *testing.T) {
				hangs := &wire{answer: func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}}
				tell(t, &b, "no answer for a minute", s.make(t, hangs))
			})
			golden(t, "service_mishaps_"+s.name, b.String())
		})
	}
}

// tell asks s for a token in vain, as the engine does, and writes down what it learns.
func tell(t *testing.T, b *strings.Builder, name string, s refresher.Source) {
	t.Helper()
	outer := new(refresher.Attempt)
	ctx, cancel := context.WithTimeout(refresher.WithAttempt(t.Context(), outer), time.Minute)
	defer cancel()
	token, err := s.Token(ctx)
	e, ok := errors.AsType[*refresher.Error](err)
	if !ok || token != (refresher.Token{}) {
		t.Errorf("%s: Token = %v, %v, want no token and a *refresher.Error", name, token, err)
		return
	}
	if text := e.Error() + e.Hint; strings.Contains(text, secret) || strings.Contains(text, hourToken(1)[:30]) {
		t.Errorf("%s: %q shows a secret", name, text)
	}
	if e.Hint == "" && e.Class != refresher.Transient && e.Class != refresher.Throttled {
		t.Errorf("%s: %q has no hint", name, e)
	}
	fmt.Fprintf(b, "# %s\n%s: %s\n", name, e.Class, e)
	if e.Hint != "" {
		fmt.Fprintf(b, "hint: %s\n", e.Hint)
	}
	facts := outer.Data()
	if facts.RetryAfter != 0 {
		fmt.Fprintf(b, "come back after %v\n", facts.RetryAfter)
	}
	if facts.RequestID != "" {
		fmt.Fprintf(b, "request id %s\n", facts.RequestID)
	}
	b.WriteString("\n")
	if facts.Status != 0 || !facts.Date.IsZero() || facts.Body != nil {
		t.Errorf("%s: the exchange's Attempt = %+v, want nothing of this conversation but Retry-After and the request's id", name, facts)
	}
}

func TestAnAnswerOfAService(t *testing.T) {
	for _, s := range services {
		t.Run(s.name+": 64 KiB are not too long", func(t *testing.T) {
			text := s.body(hourToken(1))
			if _, err := s.make(t, answers(200, text+strings.Repeat(" ", 64<<10-len(text)), s.header...)).Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
		t.Run(s.name+": of 10 MiB no more than that is read", func(t *testing.T) {
			body := &endless{left: 10 << 20}
			w := &wire{answer: func(r *http.Request) (*http.Response, error) { return response(r, 200, body, s.header...), nil }}
			_, err := s.make(t, w).Token(t.Context())
			if e := refresher.AsError(err); e == nil || e.Code != refresher.CodeSubjectInvalid {
				t.Errorf("Token: error %v, want code %q", err, refresher.CodeSubjectInvalid)
			}
			if read := 10<<20 - body.left; read > 64<<10+1 || !body.closed {
				t.Errorf("%d bytes were read, body closed: %v; want at most 64 KiB and one, and true", read, body.closed)
			}
		})
		t.Run(s.name+": an expired token is the engine's to judge", func(t *testing.T) {
			old := jwt(claims{"iat": 1000, "exp": 4600})
			token, err := s.make(t, answers(200, s.body(old), s.header...)).Token(t.Context())
			if err != nil || token.Raw.Reveal() != old || !token.Expires.Equal(time.Unix(4600, 0)) {
				t.Errorf("Token = %v, %v, want the expired one", token, err)
			}
		})
		t.Run(s.name+": nothing is kept", func(t *testing.T) {
			tokens := []string{hourToken(1), hourToken(2), hourToken(3)} // they say when they were made
			var count int
			w := &wire{answer: func(r *http.Request) (*http.Response, error) {
				count++
				return response(r, 200, io.NopCloser(strings.NewReader(s.body(tokens[count-1]))), s.header...), nil
			}}
			asked := s.make(t, w)
			for n := range tokens {
				token, err := asked.Token(t.Context())
				if err != nil || token.Raw.Reveal() != tokens[n] {
					t.Errorf("call %d: Token = %v, %v, want a new one", n+1, token, err)
				}
			}
		})
		t.Run(s.name+": good news leave no trace in the exchange's Attempt", func(t *testing.T) {
			outer := new(refresher.Attempt)
			ctx := refresher.WithAttempt(t.Context(), outer)
			if _, err := s.make(t, answers(200, s.body(hourToken(1)), s.header...)).Token(ctx); err != nil {
				t.Fatal(err)
			}
			if got := outer.Data(); got.Status != 0 || !got.Date.IsZero() || got.RTT != 0 {
				t.Errorf("Attempt = %+v, want an empty one", got)
			}
		})
		t.Run(s.name+": many may ask at once", func(t *testing.T) {
			asked := s.make(t, answers(200, s.body(hourToken(1)), s.header...))
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					if _, err := asked.Token(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		})
		t.Run(s.name+": the source does not print its secrets", func(t *testing.T) {
			asked := s.make(t, answers(200, ""))
			var out bytes.Buffer
			fmt.Fprintf(&out, "%v %+v %#v", asked, asked, asked)
			if strings.Contains(out.String(), secret) {
				t.Errorf("printed: %s", out.String())
			}
		})
	}
}

// endless is a long body.
type endless struct {
	left   int
	closed bool
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = 'e'
	}
	e.left -= n
	return n, nil
}

func (e *endless) Close() error {
	e.closed = true
	return nil
}
