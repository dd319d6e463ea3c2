package source

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

const (
	metadataEndpoint = "http://169.254.169.254" // of Azure and of Google Cloud
	azureAPIVersion  = "2018-02-01"
	azureAlien       = "what answers there is not Azure's metadata service: check that this is an Azure virtual machine"
)

// AzureIMDSOptions configure an [AzureIMDS].
type AzureIMDSOptions struct {
	// Resource is what the token is for: the App ID URI, or the client id, of an application that is
	// registered for the federation. Required.
	Resource string
	// ClientID, ObjectID (GUIDs) or ResourceID (/subscriptions/…) selects one of several managed
	// identities. At most one is set; none means the machine's own identity, or its only one.
	ClientID, ObjectID, ResourceID string
	// Endpoint is where the service is, without /metadata; empty is http://169.254.169.254.
	Endpoint string
	// APIVersion is a date; empty is 2018-02-01, which every Azure cloud knows.
	APIVersion string
	// Transport sends the requests. Required.
	Transport *upstream.Transport
}

var (
	guid          = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	azureResource = regexp.MustCompile(`(?i)^/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/\S+$`)
	azureVersion  = regexp.MustCompile(`^20[0-9]{2}-[0-9]{2}-[0-9]{2}$`)
	oneWord       = regexp.MustCompile(`^[\x21-\x7E]+$`)
)

// Check reports everything that is wrong with the options, nil if nothing is.
func (o AzureIMDSOptions) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	switch {
	case o.Resource == "":
		report("resource", "is required: the App ID URI of the application that is registered for the federation")
	case !oneWord.MatchString(o.Resource):
		report("resource", "%.200q is not one resource", o.Resource)
	case strings.HasSuffix(o.Resource, "/.default"):
		report("resource", "%.200q is a scope: a resource is what comes before /.default", o.Resource)
	}
	var chosen []string
	for _, selector := range []struct {
		field, value string
		form         *regexp.Regexp
		want         string
	}{
		{"clientId", o.ClientID, guid, "a GUID"},
		{"objectId", o.ObjectID, guid, "a GUID"},
		{"resourceId", o.ResourceID, azureResource, "an Azure resource id such as /subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME"},
	} {
		if selector.value == "" {
			continue
		}
		chosen = append(chosen, selector.field)
		if !selector.form.MatchString(selector.value) {
			report(selector.field, "%.200q is not %s", selector.value, selector.want)
		}
	}
	if len(chosen) > 1 {
		report(chosen[1], "only one of %s can select the managed identity", strings.Join(chosen, ", "))
	}
	if _, err := checkEndpoint(o.Transport, cmp.Or(o.Endpoint, metadataEndpoint)); err != nil {
		report("endpoint", "%v", err)
	}
	if o.APIVersion != "" && !azureVersion.MatchString(o.APIVersion) {
		report("apiVersion", "%.40q is not a version such as %s", o.APIVersion, azureAPIVersion)
	}
	return problems
}

// AzureIMDS is the access token of a managed identity, from the instance metadata service of an
// Azure virtual machine. It asks for each exchange; the service keeps a token for most of its day, so
// that a change to the identity shows late. It implements [refresher.Source].
//
// The token proves the machine, not the Pod: on AKS everything on a node can have it, unless a
// network policy forbids.
//
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
type AzureIMDS struct {
	question question
}

// NewAzureIMDS returns the source; it does not ask yet. Its error joins all that
// [AzureIMDSOptions.Check] reports.
func NewAzureIMDS(o AzureIMDSOptions) (*AzureIMDS, error) {
	const name = "Azure IMDS"
	if err := usable(o.Check(), o.Transport); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	endpoint, err := checkEndpoint(o.Transport, cmp.Or(o.Endpoint, metadataEndpoint))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	u := endpoint.JoinPath("metadata/identity/oauth2/token")
	u.RawQuery = o.query().Encode()
	return &AzureIMDS{question{
		service: service{
			client:  client(o.Transport),
			name:    name,
			explain: explainAzure,
			absent:  "this is not an Azure virtual machine, or a network policy keeps the Pod from 169.254.169.254: use another source, or permit it",
			alien:   azureAlien,
		},
		request:   &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"Metadata": {"true"}}},
		format:    Format{JSONField: "access_token"},
		tokenType: refresher.TypeJWT,
	}}, nil
}

func (o AzureIMDSOptions) query() url.Values {
	query := url.Values{
		"api-version": {cmp.Or(o.APIVersion, azureAPIVersion)},
		"resource":    {o.Resource},
	}
	// An empty selector is not the same as none.
	for name, value := range map[string]string{"client_id": o.ClientID, "object_id": o.ObjectID, "msi_res_id": o.ResourceID} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// Token implements [refresher.Source]. Errors are of type [*refresher.Error].
func (a *AzureIMDS) Token(ctx context.Context) (refresher.Token, error) { return a.question.token(ctx) }

// azureCode is what an error code of the service looks like. For some errors it writes a sentence in
// its place.
var azureCode = regexp.MustCompile(`^[a-z0-9_]+$`)

// explainAzure follows the table in "Error handling" of the service's documentation: 404 and 410
// pass, other 4xx are the request's fault.
func explainAzure(status int, body []byte, e *refresher.Error) {
	var refusal struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &refusal) // what could be read counts
	switch {
	case e.Code == upstream.CodeRedirect:
		return
	case status == http.StatusNotFound:
		e.Class = refresher.Transient
		e.Hint = "Azure's metadata service says so while it is updated; if this lasts, somebody else answers there: check that this is an Azure virtual machine"
	case status == http.StatusGone:
		e.Class = refresher.Transient
		e.Hint = "Azure's metadata service is being updated, and is back within 70 seconds"
	case e.Class != refresher.Settling: // an outage or throttling: by the status
	case refusal.Error == "":
		e.Class, e.Code = refresher.Transient, refresher.CodeForeignResponse
		e.Hint = azureAlien
	default:
		e.Class = refresher.Denied
		e.Hint = azureHint(refusal.Error)
	}
	if len(refusal.Error) <= 50 && azureCode.MatchString(refusal.Error) {
		e.Code = refusal.Error
	} else {
		quote(e, refusal.Error)
	}
	quote(e, refusal.Description)
}

func azureHint(code string) string {
	switch code {
	case "invalid_request":
		return "assign the managed identity to this virtual machine or scale set, which takes minutes to be seen, or choose one of several with clientId"
	case "invalid_resource":
		return "resource must be the App ID URI of an application in the tenant of the managed identity"
	}
	return "check resource, the choice of the managed identity, and apiVersion"
}
