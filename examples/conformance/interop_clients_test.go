package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/refresher"
)

// A client makes tokens of external_account documents.
type client struct {
	name  string
	token func(*stage) (grant, error)
	// check compares an error with the ending that it has to be.
	check   func(*stage, error, ending)
	explain func(error) string
}

// A grant is what a client gets.
type grant struct {
	token   string
	expires time.Time
}

var clients = []client{
	{"x/oauth2", oauth2Token, checkLibrary, error.Error},
	{"go/auth", authToken, checkLibrary, error.Error},
	{"wisp", wispToken, checkWisp, explainWisp},
}

// patience is for one client with one document.
const patience = 2 * time.Minute

func oauth2Token(s *stage) (grant, error) {
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, s.door.client())
	s.path() // where the default credentials are looked for
	var found *google.Credentials
	var err error
	if s.genuine {
		found, err = google.FindDefaultCredentials(ctx, s.scopes...)
	} else {
		found, err = google.CredentialsFromJSONWithType(ctx, s.text(), google.ExternalAccount, s.scopes...)
	}
	if err != nil {
		return grant{}, err
	}
	made, err := found.TokenSource.Token()
	if err != nil {
		return grant{}, err
	}
	return grant{made.AccessToken, made.Expiry}, nil
}

func authToken(s *stage) (grant, error) {
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	path := s.path()
	options := &credentials.DetectOptions{Scopes: s.scopes, Client: s.door.client()}
	var found *auth.Credentials
	var err error
	if s.genuine {
		found, err = credentials.DetectDefault(options)
	} else {
		found, err = credentials.NewCredentialsFromFile(credentials.ExternalAccount, path, options)
	}
	if err != nil {
		return grant{}, err
	}
	made, err := found.Token(ctx)
	if err != nil {
		return grant{}, err
	}
	return grant{made.Value, made.Expiry}, nil
}

var statusInText = regexp.MustCompile(`status code (\d+)`)

// checkLibrary looks for what Google said: all that there is of it is in the text of the error.
func checkLibrary(s *stage, err error, want ending) {
	if want.kind != refused {
		return
	}
	status, code, _ := strings.Cut(want.text, " ")
	found := statusInText.FindStringSubmatch(err.Error())
	if found == nil || found[1] != status || !strings.Contains(err.Error(), code) {
		s.Errorf("%v, want it to tell of %s", err, want.text)
	}
}

// wispToken is what an endpoint of wisp would hand out. A failure is the first one: wisp goes on trying.
func wispToken(s *stage) (grant, error) {
	if s.genuine {
		return wispProgram(s)
	}
	c, err := agent.Load(s.file("wisp.yaml", fmt.Sprintf(`
identities:
  - name: google
    externalAccount: {path: %q, allowExecutable: %v}
upstream: {allowInsecureLoopback: true}
health: {listen: "off"}
`, s.path(), os.Getenv(allowExecutables) == "1")))
	if err != nil {
		return grant{}, err
	}
	a, err := agent.New(c, agent.Options{})
	if err != nil {
		return grant{}, err
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	defer func() {
		cancel()
		if err := group.Wait(); err != nil {
			s.Errorf("wisp ended with %v", err)
		}
	}()
	a.RunIdentities(ctx, group)
	identity, _ := a.Identity("google")
	target := refresher.Target{}
	if !slices.Equal(s.scopes, []string{cloudPlatform}) {
		target.Scope = refresher.Scopes(s.scopes...)
	}
	for made, err := range identity.Watch(ctx, target) {
		if err != nil && s.patient {
			continue
		}
		bearer, _ := made.Value.(refresher.Bearer)
		return grant{bearer.Token.Reveal(), made.Expires}, err
	}
	return grant{}, errors.New("neither a credential nor a failure in time")
}

func checkWisp(s *stage, err error, want ending) {
	_, wrong := errors.AsType[*agent.ConfigError](err)
	if want.kind == rejected || wrong {
		if want.kind != rejected || !wrong || !strings.Contains(err.Error(), want.text) {
			s.Errorf("%s, want: %s %s", explainWisp(err), want.kind, want.text)
		}
		return
	}
	e := refresher.AsError(err)
	if e.Class != want.class || e.Code != want.code {
		s.Errorf("%s, want %v %s", explainWisp(err), want.class, want.code)
	}
}

func explainWisp(err error) string {
	if _, wrong := errors.AsType[*agent.ConfigError](err); wrong {
		return err.Error()
	}
	e := refresher.AsError(err)
	return fmt.Sprintf("%v (%v; %s)", err, e.Class, e.Hint)
}
