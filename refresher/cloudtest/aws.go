package cloudtest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// AWSOptions configure an [AWS].
type AWSOptions struct {
	Providers []OIDCProvider
	Roles     []Role
	Policies  []string          // ARNs of the accounts' own managed policies; those of AWS all exist
	Transport http.RoundTripper // leads to issuers; nil is http.DefaultTransport
	Now       func() time.Time  // nil is time.Now
	Rand      io.Reader         // for keys, secrets and request ids; nil is crypto/rand
}

// An OIDCProvider is an IAM OpenID Connect identity provider.
type OIDCProvider struct {
	Account   string   // 12 digits
	Issuer    string   // its URL, as in the claim "iss"
	Audiences []string // its client ids, commonly just sts.amazonaws.com
}

// A Role is an IAM role with its trust policy.
type Role struct {
	ARN        string        // arn:aws:iam::123456789012:role/path/name
	MaxSession time.Duration // its MaxSessionDuration, 1 to 12 h; 0 is 1 h

	// For AssumeRoleWithWebIdentity: tokens of this issuer, with one of these subjects and one of these
	// audiences. Entries match as StringLike does: * and ? are wildcards. No Issuer, or no Subjects:
	// nobody may; no Audiences: whatever audience the provider accepts.
	Issuer    string
	Subjects  []string
	Audiences []string

	// For AssumeRole: callers of these accounts, who show this external id if there is one.
	TrustedAccounts []string
	ExternalID      string

	// For both: whether who may assume the role may do sts:TagSession and sts:SetSourceIdentity too.
	// A chain needs them also for what it carries over from session to session.
	TagSession        bool
	SetSourceIdentity bool
}

// AWS is the Security Token Service: AssumeRoleWithWebIdentity, AssumeRole and GetCallerIdentity, the
// names of its operations for [Faults]. The latter two verify the request's Signature Version 4 with
// keys that were issued here. It is one service for all regions and accounts, safe for concurrent use.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/
type AWS struct {
	Faults
	verifier *Verifier
	now      func() time.Time
	chance   *chance

	mu        sync.Mutex
	providers map[providerKey]OIDCProvider // guarded by mu, as is all below
	roles     map[string]Role              // by ARN
	policies  map[string]bool              // by ARN
	sessions  map[string]session           // by access key id
}

type providerKey struct{ account, issuer string }

// NewAWS returns a service that knows the given providers, roles and policies. It panics if one of
// them is malformed.
func NewAWS(o AWSOptions) *AWS {
	a := &AWS{
		verifier:  NewVerifier(VerifierOptions{Transport: o.Transport, Now: o.Now}),
		now:       clock(o.Now),
		chance:    newChance(o.Rand),
		providers: make(map[providerKey]OIDCProvider),
		roles:     make(map[string]Role),
		policies:  make(map[string]bool),
		sessions:  make(map[string]session),
	}
	for _, p := range o.Providers {
		a.PutProvider(p)
	}
	for _, r := range o.Roles {
		a.PutRole(r)
	}
	for _, arn := range o.Policies {
		a.PutPolicy(arn)
	}
	return a
}

// PutProvider adds or replaces the provider of its account and issuer.
func (a *AWS) PutProvider(p OIDCProvider) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.providers[providerKey{p.Account, p.Issuer}] = p
}

// PutRole adds or replaces the role of its ARN. It panics if that is not a role's ARN.
func (a *AWS) PutRole(r Role) {
	if _, ok := parseRoleARN(r.ARN); !ok {
		panic("cloudtest: not the ARN of a role: " + r.ARN)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.roles[r.ARN] = r
}

// PutPolicy adds a managed policy of an account: arn:aws:iam::123456789012:policy/path/name. It
// panics if that is not its form.
func (a *AWS) PutPolicy(arn string) {
	if !policyARN.MatchString(arn) {
		panic("cloudtest: not the ARN of an account's policy: " + arn)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policies[arn] = true
}

// A roleName is a parsed role ARN.
type roleName struct{ partition, account, name string }

var roleARN = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::(\d{12}):role/(?:[!-~]*/)?([\w+=,.@-]{1,64})$`)

var policyARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:policy/(?:[!-~]*/)?[\w+=,.@-]{1,128}$`)

func parseRoleARN(arn string) (roleName, bool) {
	m := roleARN.FindStringSubmatch(arn)
	if m == nil {
		return roleName{}, false
	}
	return roleName{partition: m[1], account: m[2], name: m[3]}, true
}

const (
	awsVersion   = "2011-06-15"
	maxAWSBody   = 64 << 10
	maxAWSToken  = 20000
	awsRequestID = "X-Amzn-Requestid"
)

// awsAlgorithms are those that AWS documents for web identity tokens; the other clouds take fewer.
var awsAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512,
}

// An awsCall is one request, with its parameters read.
type awsCall struct {
	*http.Request
	body       []byte
	parameters url.Values
	id         string // the request id of the answer
}

// ServeHTTP answers a call of the Query API: POST with a form, or GET, at the path "/".
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := awsCall{Request: r, id: a.chance.uuid()}
	w.Header().Set(awsRequestID, call.id)
	failure := call.read()
	action := call.parameters.Get("Action")
	if a.answers(w, r, action, a.now, awsWording(call.id)) {
		return
	}
	var result any
	if failure == nil {
		result, failure = a.do(call, action)
	}
	if failure != nil {
		writeAWSError(w, call.id, failure)
		return
	}
	writeXML(w, http.StatusOK, result)
}

// read collects the parameters of query and body.
func (c *awsCall) read() *awsError {
	c.parameters = c.URL.Query()
	if c.Method != http.MethodPost && c.Method != http.MethodGet || c.URL.Path != "/" && c.URL.Path != "" {
		return &awsError{http.StatusNotFound, "InvalidAction", "the service is at the path / and takes GET and POST"}
	}
	body, err := io.ReadAll(io.LimitReader(c.Body, maxAWSBody+1))
	if err != nil || len(body) > maxAWSBody {
		return &awsError{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Request entity too large"}
	}
	c.body = body
	// Without a form the parameters, if any, are in the query.
	if kind, _, _ := strings.Cut(c.Header.Get("Content-Type"), ";"); kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return &awsError{http.StatusBadRequest, "MalformedQueryString", "The query string contains a syntax error"}
		}
		for name, values := range form {
			c.parameters[name] = append(c.parameters[name], values...)
		}
	}
	for name, values := range c.parameters {
		if len(values) > 1 {
			return &awsError{http.StatusBadRequest, "MalformedInput", "Key " + name + " must not have several values"}
		}
	}
	return nil
}

// do runs the operation; the result is a document for encoding/xml.
func (a *AWS) do(call awsCall, action string) (any, *awsError) {
	version := call.parameters.Get("Version")
	if action == "" {
		return nil, &awsError{http.StatusBadRequest, "MissingAction", "Could not find an action in the request"}
	}
	if version != awsVersion {
		if version == "" {
			version = "NO_VERSION_SPECIFIED"
		}
		return nil, unknownAction(action, version)
	}
	switch action {
	case "AssumeRoleWithWebIdentity":
		return a.assumeRoleWithWebIdentity(call)
	case "AssumeRole":
		return a.assumeRole(call)
	case "GetCallerIdentity":
		return a.getCallerIdentity(call)
	}
	return nil, unknownAction(action, version)
}

func unknownAction(action, version string) *awsError {
	return &awsError{http.StatusBadRequest, "InvalidAction",
		fmt.Sprintf("Could not find operation %s for version %s", action, version)}
}
