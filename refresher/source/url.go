package source

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// URLOptions configure a [URL].
type URLOptions struct {
	// URL is what to get. It may have a query. https, or http to this machine (127.0.0.1, ::1, localhost)
	// or to a metadata service on the link (169.254.169.254). Required.
	URL string
	// Headers are sent as they are, by name. Names differ in more than case. Those that belong to the
	// connection, such as Host and Content-Length, are refused.
	Headers map[string]refresher.Secret
	// Format of the answer. The zero Format is an answer that is the token.
	Format Format
	// Type of the token: refresher.TypeJWT (the default), TypeIDToken, TypeSAML2 or TypeAccessToken.
	Type string
	// Transport sends the requests. Required.
	Transport *upstream.Transport
}

// connectionHeaders are those that net/http writes itself, or that concern the next hop alone
// (RFC 9110 section 7.6.1).
var connectionHeaders = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection",
	"Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Upgrade",
}

var (
	headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110 section 5.6.2
	// sendable is the value of a header that arrives as it is: net/http would remove white space around it.
	sendable = regexp.MustCompile(`^([\x21-\x7E]([\x20-\x7E\t]*[\x21-\x7E])?)?$`)
)

// Check reports everything that is wrong with the options, nil if nothing is. It shows neither the
// URL nor values of headers, which may be secrets.
func (o URLOptions) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if o.URL == "" {
		report("url", "is required: where to get the token")
	} else if _, err := checkURL(o.Transport, o.URL); err != nil {
		report("url", "%v", err)
	}
	problems = append(problems, o.headerProblems()...)
	if o.Type != "" && !slices.Contains(documentTypes, o.Type) {
		report("type", "%q: a URL gives one of %s", o.Type, strings.Join(documentTypes, ", "))
	}
	return problems
}

func (o URLOptions) headerProblems() []refresher.FieldError {
	var problems []refresher.FieldError
	seen := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		canonical := http.CanonicalHeaderKey(name)
		problem := ""
		switch {
		case !headerName.MatchString(name):
			problem = "is not the name of a header"
		case slices.Contains(connectionHeaders, canonical):
			problem = "cannot be set: it belongs to the connection"
		case seen[canonical]:
			problem = "is there twice: upper and lower case make no difference"
		case !sendable.MatchString(o.Headers[name].Reveal()):
			problem = "has a value that cannot be sent: only printable ASCII characters, without white space around them (does it end in a line feed?)"
		}
		seen[canonical] = true
		if problem != "" {
			problems = append(problems, refresher.FieldError{Field: fmt.Sprintf("headers.%.100s", upstream.Clean(name)), Problem: problem})
		}
	}
	return problems
}

// A URL is the token that a server gives in answer to a GET, of 64 KiB at most. It asks for
// each exchange and keeps nothing. It implements [refresher.Source].
//
// It is the URL-sourced credential of external_account files: https://google.aip.dev/auth/4117.
type URL struct {
	question question
}

// NewURL returns the source; it does not ask yet. Its error joins all that [URLOptions.Check] reports.
func NewURL(o URLOptions) (*URL, error) {
	if err := usable(o.Check(), o.Transport); err != nil {
		return nil, fmt.Errorf("URL source: %w", err)
	}
	u, err := checkURL(o.Transport, o.URL)
	if err != nil {
		return nil, fmt.Errorf("URL source: %w", err)
	}
	header := make(http.Header)
	for name, value := range o.Headers {
		header.Set(name, value.Reveal())
	}
	return &URL{question{
		service: service{
			client:  client(o.Transport),
			name:    "URL source",
			explain: explainURL,
			absent:  "check that what serves the URL runs, and that it can be reached from wisp's container",
			alien:   "the URL must answer by itself, without a redirect, and with one token: as the whole text, or in the configured field of a JSON object",
		},
		request:   &http.Request{Method: http.MethodGet, URL: u, Header: header},
		format:    o.Format,
		tokenType: cmp.Or(o.Type, refresher.TypeJWT),
	}}, nil
}

// Token implements [refresher.Source]. Errors are of type [*refresher.Error]. A token that has expired
// is returned: by which clock, the engine knows better.
func (u *URL) Token(ctx context.Context) (refresher.Token, error) { return u.question.token(ctx) }

func explainURL(status int, _ []byte, e *refresher.Error) {
	switch {
	case e.Class != refresher.Settling: // an outage, throttling, a redirect: nothing of this source's own
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Hint = "the server wants other headers, or values of headers, than are configured"
	default:
		e.Hint = "check the URL's path and query"
	}
}
