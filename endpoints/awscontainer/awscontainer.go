// Package awscontainer emulates the credentials endpoint that AWS offers to containers, the one that
// AWS_CONTAINER_CREDENTIALS_FULL_URI points the AWS SDKs to.
//
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
package awscontainer

import (
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

// Name is the outlet's kind.
const Name = "awsContainer"

// hold is below the 1000 ms after which the SDKs for JavaScript and C++ give up on a request.
const hold = 800 * time.Millisecond

// expirationLayout is the one form of RFC 3339 that all SDKs read: botocore takes nothing else, and
// the SDK for JavaScript refuses "+00:00".
const expirationLayout = "2006-01-02T15:04:05Z"

// Options describe the outlet.
type Options struct {
	// Entries are the identities, each at a path of its own. Of two with one path the later counts.
	Entries []Entry
	// Secret is what callers have to send as Authorization, verbatim: SDKs add no "Bearer". Empty
	// means that anybody who can connect is served.
	Secret refresher.Secret
}

// An Entry is one identity.
type Entry struct {
	Path     string             // "/aws/reports", decoded
	Provider endpoints.Provider // has to yield a refresher.AccessKey for the zero Target
	RoleARN  string             // shown as RoleArn, as Amazon ECS does; left out if empty
}

// New returns the protocol. Each path answers GET and HEAD with the identity's credentials.
func New(o Options) *endpoints.Protocol {
	routes := endpoints.Routes{}
	for _, e := range o.Entries {
		routes[e.Path] = endpoints.Route{Methods: endpoints.Read, Handler: e.answer}
	}
	p := &endpoints.Protocol{
		Name:   Name,
		Hosts:  []string{"169.254.170.2"},
		Routes: routes,
		Single: []string{"Authorization"},
		Refuse: refuse,
	}
	if o.Secret != "" {
		p.Guard = func(r *http.Request) *endpoints.Refusal { return authorize(r, o.Secret) }
	}
	return p
}

func authorize(r *http.Request, secret refresher.Secret) *endpoints.Refusal {
	sent := r.Header.Get("Authorization")
	if sent == "" {
		return endpoints.Refuse(endpoints.Unauthorized, "the Authorization header is missing")
	}
	if !endpoints.Matches(sent, secret) {
		return endpoints.Refuse(endpoints.Forbidden, "the Authorization header is wrong")
	}
	return nil
}

// credentials is the answer. Its keys differ from those of the other AWS formats: the session token
// is "Token" here, "SessionToken" for credential_process.
type credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	Expiration      string `json:"Expiration"`
	AccountID       string `json:"AccountId,omitempty"`
	RoleARN         string `json:"RoleArn,omitempty"`
}

func (e Entry) answer(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	c, err := endpoints.Fetch(r, e.Provider, refresher.Target{}, hold)
	if err != nil {
		return endpoints.Explain(err)
	}
	key, ok := c.Value.(refresher.AccessKey)
	if !ok {
		return endpoints.Refuse(endpoints.Internal, "the identity of this path does not yield AWS credentials")
	}
	endpoints.ReplyJSON(w, http.StatusOK, &credentials{
		AccessKeyID:     key.ID,
		SecretAccessKey: key.Secret.Reveal(),
		Token:           key.SessionToken.Reveal(),
		Expiration:      c.Expires.UTC().Format(expirationLayout),
		AccountID:       key.AccountID,
		RoleARN:         e.RoleARN,
	})
	return nil
}

// refuse writes {"code","message"}. The SDK for Go v2 parses this and loses the status, and with it
// the retry, if the body is anything but such an object; on a bare null it panics.
func refuse(w http.ResponseWriter, _ *http.Request, refusal *endpoints.Refusal) {
	endpoints.ReplyJSON(w, refusal.Reason.Status(), struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code(refusal.Reason), refusal.Message})
}

// code names a reason. The SDKs know none of these names: they are for people.
func code(reason endpoints.Reason) string {
	switch reason {
	case endpoints.NotReady:
		return "CredentialsNotReady"
	case endpoints.Denied:
		return "CredentialsDenied"
	case endpoints.Unauthorized:
		return "Unauthorized"
	case endpoints.BadHost, endpoints.Forwarded, endpoints.Browser, endpoints.Forbidden:
		return "Forbidden"
	case endpoints.NotFound:
		return "NotFound"
	case endpoints.BadMethod:
		return "MethodNotAllowed"
	case endpoints.TooLarge, endpoints.TooManyFields:
		return "RequestTooLarge"
	case endpoints.Internal:
		return "InternalError"
	default:
		return "BadRequest"
	}
}
