// Package imds emulates the instance metadata service of Amazon EC2, version 2, as far as the AWS SDKs
// and scripts read it for the credentials of a role and for a region. Everything but the credentials is
// answered from configuration, whatever their state: an SDK that meets one early error falls back to
// version 1, or believes for good that it is not on EC2.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
package imds

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

// Name is the outlet's kind.
const Name = "imds"

// hold is below the 500 ms after which the SDK for Go v2 gives up on the header of an answer. Most
// others wait for a second.
const hold = 400 * time.Millisecond

// Options describe the outlet. What is not set is not found: a wrong region is worse than none.
type Options struct {
	// Provider has to yield a refresher.AccessKey for the zero Target. Required.
	Provider endpoints.Provider
	// Role is the name of the credentials: 1 to 64 of A-Za-z0-9_+=,.@-, because SDKs put it into a URL
	// as it is. Required.
	Role string
	// AllowV1 answers requests without a session token, too, for clients that know version 1 only.
	AllowV1 bool

	Region           string // "eu-west-1"
	AvailabilityZone string // Region and one letter, because botocore cuts off the last character
	InstanceID       string // "i-0123456789abcdef0"
	AccountID        string // 12 digits; shown with a Region only
	// InstanceProfileARN is "arn:aws:iam::123456789012:instance-profile/reports".
	InstanceProfileARN string
}

// New returns the protocol. Its session tokens are good for its own life only, as clients expect of a
// machine that has started anew.
func New(o Options) *endpoints.Protocol {
	sessions := newSessions()
	tree := tree{}
	tree["meta-data/iam/security-credentials/"+o.Role] = o.credentials
	tree.text("meta-data/placement/region", o.Region)
	tree.text("meta-data/placement/availability-zone", o.AvailabilityZone)
	tree.text("meta-data/instance-id", o.InstanceID)
	if o.InstanceProfileARN != "" {
		tree.document("meta-data/iam/info", newProfile(o.InstanceProfileARN, time.Now()))
	}
	if o.Region != "" {
		tree.document("dynamic/instance-identity/document", instance{o.AccountID, o.AvailabilityZone, o.InstanceID, o.Region})
	}
	routes := tree.routes("/latest/")
	put := endpoints.Route{Methods: []string{http.MethodPut}, Open: true, Handler: sessions.put}
	routes["/latest/api/token"], routes["/latest/api/token/"] = put, put
	return &endpoints.Protocol{
		Name:           Name,
		Hosts:          []string{"169.254.169.254", "fd00:ec2::254"},
		Routes:         routes,
		Territory:      "/latest/",
		GuardTerritory: true,
		Single:         []string{tokenField, ttlField},
		Guard: func(r *http.Request) *endpoints.Refusal {
			if _, sent := r.Header[tokenField]; !sent && o.AllowV1 {
				return nil
			}
			return sessions.check(r.Header.Get(tokenField))
		},
		Refuse: refuse,
	}
}

// refuse answers in text. JSON would be read: the SDK for Go v2 expects an object of a certain form
// then, and loses the status if it is another.
func refuse(w http.ResponseWriter, _ *http.Request, refusal *endpoints.Refusal) {
	endpoints.Reply(w, refusal.Reason.Status(), endpoints.Text, []byte(refusal.Message+"\n"))
}

// credentials is the document of the role. PHP, Go and Rust insist on Code; an error must not be one,
// because botocore and others do not look at it and would take the rest for credentials.
type credentials struct {
	Code            string `json:"Code"`
	LastUpdated     string `json:"LastUpdated"`
	Type            string `json:"Type"`
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	Expiration      string `json:"Expiration"`
	AccountID       string `json:"AccountId,omitempty"`
}

func (o Options) credentials(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	c, err := endpoints.Fetch(r, o.Provider, refresher.Target{}, hold)
	if err != nil {
		return endpoints.Explain(err)
	}
	key, ok := c.Value.(refresher.AccessKey)
	if !ok {
		return endpoints.Refuse(endpoints.Internal, "the identity of this outlet does not yield AWS credentials")
	}
	endpoints.ReplyJSON(w, http.StatusOK, &credentials{
		Code:            success,
		LastUpdated:     stamp(c.Issued),
		Type:            "AWS-HMAC",
		AccessKeyID:     key.ID,
		SecretAccessKey: key.Secret.Reveal(),
		Token:           key.SessionToken.Reveal(),
		Expiration:      stamp(c.Expires),
		AccountID:       key.AccountID,
	})
	return nil
}

const success = "Success"

// stamp writes the one form of a time that all SDKs read: in UTC, with "Z" and without a fraction.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// encode is for values that always marshal.
func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}
