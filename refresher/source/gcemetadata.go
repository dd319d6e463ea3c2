package source

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// GCEMetadataOptions configure a [GCEMetadata].
type GCEMetadataOptions struct {
	// Audience of the token: what the cloud expects in its claim "aud". Required.
	Audience string
	// ServiceAccount is the e-mail of one of the accounts of the machine; empty is "default".
	ServiceAccount string
	// Endpoint is where the server is, without /computeMetadata; empty is http://169.254.169.254.
	Endpoint string
	// Transport sends the requests. Required.
	Transport *upstream.Transport
}

var gceAccount = regexp.MustCompile(`^(default|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+)$`)

// Check reports everything that is wrong with the options, nil if nothing is.
func (o GCEMetadataOptions) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if o.Audience == "" {
		report("audience", "is required: what the cloud that gets the token expects")
	}
	if o.ServiceAccount != "" && !gceAccount.MatchString(o.ServiceAccount) {
		report("serviceAccount", "%.200q is neither an e-mail address nor default", o.ServiceAccount)
	}
	if _, err := checkEndpoint(o.Transport, cmp.Or(o.Endpoint, metadataEndpoint)); err != nil {
		report("endpoint", "%v", err)
	}
	return problems
}

// GCEMetadata is the ID token of a service account, signed by Google, from the metadata server of a
// Compute Engine VM or of GKE. It asks for each exchange and keeps nothing. It implements
// [refresher.Source].
//
// https://cloud.google.com/compute/docs/instances/verifying-instance-identity
type GCEMetadata struct {
	question question
}

// NewGCEMetadata returns the source; it does not ask yet. Its error joins all that
// [GCEMetadataOptions.Check] reports.
func NewGCEMetadata(o GCEMetadataOptions) (*GCEMetadata, error) {
	const name = "GCE metadata server"
	if err := usable(o.Check(), o.Transport); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	endpoint, err := checkEndpoint(o.Transport, cmp.Or(o.Endpoint, metadataEndpoint))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	u := endpoint.JoinPath("computeMetadata/v1/instance/service-accounts", cmp.Or(o.ServiceAccount, "default"), "identity")
	// The full format adds the account's e-mail, which trust policies like to look at.
	u.RawQuery = url.Values{"audience": {o.Audience}, "format": {"full"}}.Encode()
	return &GCEMetadata{question{
		service: service{
			client:  client(o.Transport),
			name:    name,
			genuine: func(h http.Header) bool { return h.Get("Metadata-Flavor") == "Google" },
			explain: explainGCE(o.ServiceAccount),
			absent:  "this is not a machine of Google Cloud, or a network policy keeps the Pod from 169.254.169.254: use another source, or permit it",
			alien:   "what answers there is not Google's metadata server: check that this is a machine of Google Cloud",
		},
		request:   &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"Metadata-Flavor": {"Google"}}},
		tokenType: refresher.TypeIDToken,
	}}, nil
}

// Token implements [refresher.Source]. Errors are of type [*refresher.Error].
func (g *GCEMetadata) Token(ctx context.Context) (refresher.Token, error) {
	return g.question.token(ctx)
}

// explainGCE adds the server's own words, unless they are a page.
func explainGCE(account string) func(int, []byte, *refresher.Error) {
	return func(status int, body []byte, e *refresher.Error) {
		if e.Class != refresher.Settling {
			return
		}
		if body = trim(body); !bytes.HasPrefix(body, []byte("<")) {
			quote(e, string(body))
		}
		switch {
		case status == http.StatusNotFound && account != "":
			e.Hint = fmt.Sprintf("attach the service account %s to the VM, or correct serviceAccount", account)
		case status == http.StatusNotFound:
			e.Hint = "attach a service account to the VM; on GKE annotate the Pod's Kubernetes service account with a Google service account, because without one Workload Identity has no ID tokens"
		case status == http.StatusForbidden:
			e.Hint = "on GKE, the Pod's Kubernetes service account needs roles/iam.workloadIdentityUser on the Google service account"
		default:
			e.Hint = "check audience and serviceAccount"
		}
	}
}
