package entra

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// Options configure an [Exchanger].
type Options struct {
	// TenantID is the tenant of the identity: its GUID, or one of its verified domain names. Required.
	TenantID string
	// ClientID is the GUID of the application or user-assigned managed identity. Required.
	ClientID string
	// Authority is where the cloud signs in: https://HOST or only HOST; slashes at the end are left
	// off. Empty means https://login.microsoftonline.com. It receives the subject token; naming a
	// host here is what allows that. No metadata is looked up to validate it.
	Authority string
	// Resource is that of a Target that names none, see [Scope]. Empty means the Azure Resource
	// Manager of the authority's cloud. Required for authorities other than those of the public, US
	// government and China clouds.
	Resource string
	// ExpectedTenantID, if set, is the GUID of the tenant that access tokens must be of: others are
	// refused. It guards against a TenantID that is a domain name, or a typing error, of somebody else.
	ExpectedTenantID string

	// Transport sends the requests. Required.
	Transport *upstream.Transport
}

var (
	guid         = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	tenantDomain = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]+$`)
	oneScope     = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // RFC 6749 section 3.3
)

// Check reports everything that is wrong with the options, nil if nothing is. Without a Transport
// the authority is checked as if it allowed no http.
func (o Options) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	switch {
	case o.TenantID == "":
		report("tenantId", "is required: the id of the identity's tenant")
	case slices.Contains([]string{"common", "organizations", "consumers"}, o.TenantID):
		report("tenantId", "%q stands for many tenants: name the identity's own", o.TenantID)
	case !guid.MatchString(o.TenantID) && (len(o.TenantID) > 253 || !tenantDomain.MatchString(o.TenantID)):
		report("tenantId", "%q is neither a GUID nor a domain name", o.TenantID)
	}
	switch {
	case o.ClientID == "":
		report("clientId", "is required: the client id of the application or managed identity")
	case !guid.MatchString(o.ClientID):
		report("clientId", "%q is not a GUID", o.ClientID)
	}
	if o.ExpectedTenantID != "" && !guid.MatchString(o.ExpectedTenantID) {
		report("expectedTenantId", "%q is not a GUID", o.ExpectedTenantID)
	}
	authority, err := o.authority()
	if err != nil {
		report("authorityHost", "%v", err)
	}
	switch {
	case o.Resource != "" && !oneScope.MatchString(o.Resource):
		report("resource", "%q is not one resource", o.Resource)
	case o.Resource == "" && err == nil && cloudOf(authority).resource == "":
		report("resource", "is required: the Azure Resource Manager of %s is not known", authority.Host)
	}
	return problems
}

// New returns an Exchanger. Its error joins all that [Options.Check] reports.
func New(o Options) (*Exchanger, error) {
	if err := refresher.JoinFieldErrors(o.Check()); err != nil {
		return nil, fmt.Errorf("entra: %w", err)
	}
	if o.Transport == nil {
		return nil, errors.New("entra: a Transport is required")
	}
	authority, err := o.authority()
	if err != nil {
		return nil, fmt.Errorf("entra: %w", err)
	}
	return &Exchanger{
		tenantID: o.ExpectedTenantID,
		clientID: o.ClientID,
		endpoint: authority.JoinPath(o.TenantID, "oauth2/v2.0/token").String(),
		scope:    Scope(cmp.Or(o.Resource, cloudOf(authority).resource)),
		client:   o.Transport.Client(),
	}, nil
}
