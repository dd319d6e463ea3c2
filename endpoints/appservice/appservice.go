// Package appservice emulates the token endpoint of Azure App Service and Functions, which SDKs find
// through IDENTITY_ENDPOINT and IDENTITY_HEADER, or MSI_ENDPOINT and MSI_SECRET in the older version
// 2017-09-01. It demands a secret, which makes it the first choice among Azure's outlets.
//
// On request it also answers the form of Azure Cloud Shell, which has no secret: by POST, and by GET for
// azure-identity for Java.
//
// Spec: https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
package appservice

import (
	"cmp"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/refresher"
)

// DefaultPath is the path that the real service uses, too.
const DefaultPath = "/msi/token"

// The versions, and the header field that carries the secret in each.
const (
	version2019 = "2019-08-01"
	version2017 = "2017-09-01"

	field2019 = "X-Identity-Header"
	field2017 = "Secret"
)

// Options configure the outlet.
type Options struct {
	// Path is what IDENTITY_ENDPOINT and MSI_ENDPOINT end in. Empty means [DefaultPath].
	Path string
	// Secret is what IDENTITY_HEADER and MSI_SECRET hold. An empty one refuses every request.
	Secret refresher.Secret
	// Identities can be selected by id; the first is the default. There has to be one.
	Identities []azuretoken.Identity
	// CloudShell also serves the form of Azure Cloud Shell: without the secret, to anybody who sends
	// "Metadata: true".
	CloudShell bool
	// Now is the clock that "expires_in" counts from. Nil means time.Now.
	Now func() time.Time
	// Log is told, once, of clients that lack a variable. Nil means nobody is.
	Log *slog.Logger
}

// New returns the outlet "appService".
func New(o Options) *endpoints.Protocol {
	s := &service{
		secret:     o.Secret,
		issuer:     azuretoken.Issuer{Identities: o.Identities, Now: o.Now},
		cloudShell: o.CloudShell,
		log:        o.Log,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	route := endpoints.Route{
		// POST always gets as far as the guard, which knows what to say to it.
		Methods: []string{http.MethodGet, http.MethodPost},
		Body:    true,
		Handler: s.answer,
	}
	path := strings.TrimSuffix(cmp.Or(o.Path, DefaultPath), "/")
	return &endpoints.Protocol{
		Name: "appService",
		// msrestazure and ms-rest-nodeauth put a slash behind the path.
		Routes: endpoints.Routes{path: route, path + "/": route},
		// What else is below it does not exist, which clients want to be told in JSON, too.
		Territory: path + "/",
		Single:    []string{field2019, field2017, azuretoken.MetadataField},
		Guard:     s.guard,
		Refuse:    s.refuse,
	}
}

type service struct {
	secret     refresher.Secret
	issuer     azuretoken.Issuer
	cloudShell bool
	log        *slog.Logger
	told       sync.Once
}

func (s *service) guard(r *http.Request) *endpoints.Refusal {
	if r.Method == http.MethodPost {
		return s.guardPost(r)
	}
	if s.shellByGet(r) {
		return nil
	}
	if !endpoints.Matches(sentSecret(r), s.secret) {
		return endpoints.Refuse(endpoints.Unauthorized,
			"the secret is missing or wrong; send IDENTITY_HEADER as X-IDENTITY-HEADER, or MSI_SECRET as secret with api-version "+version2017)
	}
	return nil
}

// sentSecret is the secret in the field that the request's version demands. Without a version that
// is known either will do: who has the secret may learn that the version is wrong.
func sentSecret(r *http.Request) string {
	query, _ := azuretoken.Parse(r.URL.RawQuery)
	switch query.APIVersion {
	case version2019:
		return r.Header.Get(field2019)
	case version2017:
		return r.Header.Get(field2017)
	default:
		return cmp.Or(r.Header.Get(field2019), r.Header.Get(field2017))
	}
}

func (s *service) answer(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	if r.Method == http.MethodPost {
		return s.answerPost(w, r)
	}
	query, refusal := azuretoken.Parse(r.URL.RawQuery)
	if refusal != nil {
		return refusal
	}
	if query.APIVersion != version2019 && query.APIVersion != version2017 && !s.shellByGet(r) {
		return endpoints.Refuse(endpoints.BadRequest, "api-version has to be "+version2019+" or "+version2017)
	}
	return s.issuer.Answer(w, r, query)
}

// failure has the two fields of the real service. MSAL also understands the others, with which a
// user gets to see the code.
type failure struct {
	StatusCode  int    `json:"statusCode"`
	Message     string `json:"message"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (s *service) refuse(w http.ResponseWriter, _ *http.Request, refusal *endpoints.Refusal) {
	if refusal.Reason == endpoints.BadMethod && !s.cloudShell {
		w.Header().Set("Allow", http.MethodGet)
	}
	f := azuretoken.Explain(refusal)
	endpoints.ReplyJSON(w, f.Status, failure{StatusCode: f.Status, Message: f.Description, Error: f.Code, Description: f.Description})
}
