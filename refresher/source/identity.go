package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// chainPatience is how long a source waits for the credential of another identity. It is more than an
// exchange takes, so that at a start the second identity is ready right after the first; and it is less
// than the exchange's own limit, so that the log says soon what is being waited for.
const chainPatience = 10 * time.Second

// Credentials are another identity's. *[refresher.Identity] implements it.
type Credentials interface {
	Credential(ctx context.Context, t refresher.Target) (refresher.Credential, error)
}

// IdentityOptions configure an [Identity].
type IdentityOptions struct {
	Name   string           // of the other identity, for errors. Required.
	Of     Credentials      // the other identity. Required.
	Target refresher.Target // which of its credentials; zero is its default
	// Type is the RFC 8693 type to call the token by. Empty means what the credential calls itself,
	// which for most clouds is an access token, even where others can verify it as a JWT.
	Type string
}

// An Identity is a chain: what one identity was given, another one shows as its subject token. The
// first one is kept fresh by its own Refresher, and costs no exchange here. Wrap it with [Follow].
type Identity struct {
	options IdentityOptions
}

// NewIdentity returns the source. It does not look at the other identity.
func NewIdentity(o IdentityOptions) (*Identity, error) {
	if o.Name == "" || o.Of == nil {
		return nil, errors.New("the other identity is missing")
	}
	return &Identity{options: o}, nil
}

// Token implements [refresher.Source]. It waits for the other identity for up to ten seconds.
func (i *Identity) Token(ctx context.Context) (refresher.Token, error) {
	credential, err := chained(ctx, i.options.Name, i.options.Of, i.options.Target)
	if err != nil {
		return refresher.Token{}, err
	}
	bearer, ok := credential.Value.(refresher.Bearer)
	if !ok {
		return refresher.Token{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  refresher.CodeSubjectInvalid,
			Err:   fmt.Errorf("identity %q yields an access key, which is no token", i.options.Name),
			Hint:  "an AWS identity is shown to others by the source awsCallerIdentity",
		}
	}
	// The credential's own Expires is by the local clock. The other identity watches over it, so that
	// only what the token itself says has to be passed on.
	token, _, err := parse(bearer.Token, cmp.Or(i.options.Type, bearer.Type))
	if err != nil {
		e := noToken(fmt.Errorf("the credential of identity %q, as a %s: %w", i.options.Name, cmp.Or(i.options.Type, bearer.Type), err))
		e.Hint = "the cloud gave a token that only itself can read: ask for one for a resource or an audience of your own"
		return refresher.Token{}, e
	}
	return token, nil
}

// chained gets the credential of another identity. Its failures are those of a missing subject token,
// whatever their own class is: they are retried there, and a success there wakes whoever waits here.
func chained(ctx context.Context, name string, of Credentials, target refresher.Target) (refresher.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, chainPatience)
	defer cancel()
	credential, err := of.Credential(ctx, target)
	if err == nil {
		return credential, nil
	}
	e := &refresher.Error{
		Class: refresher.SubjectToken,
		Code:  refresher.CodeSubjectMissing,
		Err:   fmt.Errorf("identity %q, on which this one is built, has no credential: %w", name, err),
		Hint:  fmt.Sprintf("get identity %q going first", name),
	}
	if hint := refresher.AsError(err).Hint; hint != "" {
		e.Hint = fmt.Sprintf("for identity %q: %s", name, hint)
	}
	return refresher.Credential{}, e
}

// A Watched tells of its new credentials. *[refresher.Identity] implements it.
type Watched interface {
	Watch(ctx context.Context, t refresher.Target) iter.Seq2[refresher.Credential, error]
}

// A Followed is a source that shows the credentials of another identity, and says when there is a new
// one. It implements [refresher.Source], [refresher.Notifier] and [refresher.Runner].
type Followed struct {
	refresher.Source
	of      Watched
	changed chan struct{}
}

// Follow makes a source tell of the new credentials of the identity that it shows.
func Follow(s refresher.Source, of Watched) *Followed {
	return &Followed{Source: s, of: of, changed: make(chan struct{}, 1)}
}

// Changed implements [refresher.Notifier].
func (f *Followed) Changed() <-chan struct{} { return f.changed }

// Run watches the other identity's default credential until ctx ends. Other targets have the same
// troubles and recover with it; to watch them would keep them alive without a reader.
func (f *Followed) Run(ctx context.Context) error {
	for _, err := range f.of.Watch(ctx, refresher.Target{}) {
		if err == nil {
			notify(f.changed)
		}
	}
	return nil
}
