package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// The registry: every kind that a configuration can name. A new kind is a package with the thing, a
// struct with its options beside those of its family, and one line here.
var (
	sourceKinds = []kindOf[sourceOptions]{
		{"file", func() sourceOptions { return new(fileSource) }},
		{"url", func() sourceOptions { return new(urlSource) }},
		{"executable", func() sourceOptions { return new(executableSource) }},
		{"githubActions", func() sourceOptions { return new(githubSource) }},
		{"azureIMDS", func() sourceOptions { return new(azureIMDSSource) }},
		{"gceMetadata", func() sourceOptions { return new(gceMetadataSource) }},
		{"awsCallerIdentity", func() sourceOptions { return new(awsCallerSource) }},
		{"identity", func() sourceOptions { return new(identitySource) }},
	}
	exchangeKinds = []kindOf[exchangeOptions]{
		{"aws", func() exchangeOptions { return new(awsExchange) }},
		{"google", func() exchangeOptions { return new(googleExchange) }},
		{"entra", func() exchangeOptions { return new(entraExchange) }},
		{"oauthSTS", func() exchangeOptions { return new(oauthExchange) }},
		{"subject", func() exchangeOptions { return new(subjectExchange) }},
	}
	outletKinds = []kindOf[outletOptions]{
		{"awsContainer", func() outletOptions { return new(awsContainerOutlet) }},
		{"imds", func() outletOptions { return new(imdsOutlet) }},
		{"gceMetadata", func() outletOptions { return new(gceMetadataOutlet) }},
		{"azureIMDS", func() outletOptions { return new(azureIMDSOutlet) }},
		{"appService", func() outletOptions { return new(appServiceOutlet) }},
		{"subjectToken", func() outletOptions { return new(subjectTokenOutlet) }},
		{"bearer", func() outletOptions { return new(bearerOutlet) }},
		{"file", func() outletOptions { return new(fileOutlet) }},
	}
)

// A shape is what an exchange yields and an outlet accepts.
type shape string

const (
	accessKey    shape = "an AWS access key"
	googleBearer shape = "a Google token"
	entraBearer  shape = "an Entra token"
	oauthBearer  shape = "an OAuth token"
	subjectToken shape = "the subject token"
)

// scoped: it can be asked for by scopes, and as an ID token by audience.
func (s shape) scoped() bool { return s == googleBearer || s == oauthBearer }

// surroundings are what the makers of sources, exchangers and outlets get from the process.
type surroundings struct {
	transport *upstream.Transport
	watcher   *source.Watcher
	log       *slog.Logger
	getenv    func(string) string
	// identities are those that were made before, by name: all on which this one may be built.
	identities map[string]*refresher.Identity
}

// sourceOptions are the options of one kind of source.
type sourceOptions interface {
	// check reports what is wrong with the options themselves, and with them for the exchange x, which
	// is nil if the document has none.
	check(x exchangeOptions, transport *upstream.Transport) []refresher.FieldError
	// tokenType is the RFC 8693 type of its tokens; empty if that cannot be told.
	tokenType() string
	// source makes it, for the exchange x.
	source(s surroundings, x exchangeOptions) (refresher.Source, error)
}

// A warner is a source, exchange or outlet whose options may do what their author probably does not want,
// although they are not wrong.
type warner interface {
	warning() string // empty: there is nothing to say
}

// A chainedSource is one that may show what another identity yields.
type chainedSource interface {
	sourceOptions
	// builtOn is the name of that identity; empty if there is none.
	builtOn() string
	// join takes note of the other identity. It says why that does not fit; empty if it does.
	join(other *IdentityConfig, transport *upstream.Transport) string
}

// exchangeOptions are the options of one kind of exchange.
type exchangeOptions interface {
	check(transport *upstream.Transport) []refresher.FieldError
	exchanger(s surroundings) (refresher.Exchanger, error)
	yields() shape
	// takes says whether the service accepts subject tokens of a type.
	takes(tokenType string) bool
	// lifetime is what it asks the cloud for; 0 if the cloud decides.
	lifetime() time.Duration
	// floor is the remaining life under which clients of this cloud refresh by themselves.
	floor() time.Duration
	// audiences are the values one of which the token's aud should have; none if anything goes.
	audiences() []string
}

// outletOptions are the options of one kind of outlet: an [httpOutlet] or a [writerOutlet].
type outletOptions interface {
	check() []refresher.FieldError
	fmt.Stringer // where it is, for people
	// accepts says why the outlet cannot show what an identity yields; empty if it can.
	accepts(s shape) string
}

// An httpOutlet shows credentials on a listener.
type httpOutlet interface {
	outletOptions
	listen() string
	// secret says where its secret is, if it has one.
	secret() secretPlace
	// guarded reports whether every request needs the secret.
	guarded() bool
	protocol(identities []outletIdentity, secret refresher.Secret, log *slog.Logger) (*endpoints.Protocol, error)
}

// A leadingOutlet is one that clients find by environment variables.
type leadingOutlet interface {
	outletOptions
	// variables lead to an identity; nil if there are none for this one.
	variables(i outletIdentity, secret refresher.Secret) []Variable
}

// A writerOutlet writes credentials somewhere.
type writerOutlet interface {
	outletOptions
	writer(identity outletIdentity, log *slog.Logger) (writer, error)
}

// A writer runs until its context ends. Written reports whether everything was written once, and Err
// why what was written is not as it should be now; nil if it is.
type writer interface {
	Run(ctx context.Context) error
	Written() bool
	Err() error
}

// An outletIdentity is an identity as an outlet sees it.
type outletIdentity struct {
	name     string
	identity *refresher.Identity
	exchange exchangeOptions
	config   string // absolute path of the document that describes it; empty if that is no file
}

type (
	sourceChoice   struct{ oneOf[sourceOptions] }
	exchangeChoice struct{ oneOf[exchangeOptions] }
	outletChoice   struct{ oneOf[outletOptions] }
)

func (c *sourceChoice) choose(name string) any   { return c.chooseFrom(sourceKinds, name) }
func (c *exchangeChoice) choose(name string) any { return c.chooseFrom(exchangeKinds, name) }
func (c *outletChoice) choose(name string) any   { return c.chooseFrom(outletKinds, name) }
func (c *sourceChoice) kinds() []string          { return kindNames(sourceKinds) }
func (c *exchangeChoice) kinds() []string        { return kindNames(exchangeKinds) }
func (c *outletChoice) kinds() []string          { return kindNames(outletKinds) }
