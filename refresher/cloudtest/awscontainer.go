package cloudtest

import (
	"cmp"
	"io"
	"net/http"
	"time"
)

// AWSContainerOptions configure an [AWSContainer].
type AWSContainerOptions struct {
	AWS         *AWS   // where the keys are of; required
	RoleARN     string // whose they are; required
	SessionName string // of the role's session; empty is eks-shop-reports
	Path        string // empty is /v1/credentials, that of EKS Pod Identity
	// Authorization is what the header of that name must be, byte for byte. Empty makes one up.
	Authorization string
	Lifetime      time.Duration    // of keys; 0 is 6 h
	Now           func() time.Time // nil is time.Now
	Rand          io.Reader        // for the authorization; nil is crypto/rand
}

// AWSContainer is the endpoint from which containers of ECS and EKS get the keys of their role. Its
// operation for [Faults] is "credentials"; requests for other paths have none. It is safe for concurrent use.
//
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
type AWSContainer struct {
	Faults
	o    AWSContainerOptions
	keys *roleKeys
	role roleName
	now  func() time.Time
}

// NewAWSContainer returns an endpoint. It panics without AWS and the ARN of a role.
func NewAWSContainer(o AWSContainerOptions) *AWSContainer {
	role, ok := parseRoleARN(o.RoleARN)
	if o.AWS == nil || !ok {
		panic("cloudtest: AWSContainerOptions need AWS and a role's ARN, not " + o.RoleARN)
	}
	o.Path = cmp.Or(o.Path, "/v1/credentials")
	o.Authorization = cmp.Or(o.Authorization, newChance(o.Rand).text(base64Alphabet, 64))
	o.Lifetime = cmp.Or(o.Lifetime, roleKeyLife)
	now := clock(o.Now)
	return &AWSContainer{
		o:    o,
		keys: &roleKeys{aws: o.AWS, role: o.RoleARN, session: cmp.Or(o.SessionName, "eks-shop-reports"), now: now},
		role: role,
		now:  now,
	}
}

// Path is the path of AWS_CONTAINER_CREDENTIALS_FULL_URI.
func (c *AWSContainer) Path() string { return c.o.Path }

// Authorization is AWS_CONTAINER_AUTHORIZATION_TOKEN.
func (c *AWSContainer) Authorization() string { return c.o.Authorization }

// ServeHTTP answers for the keys.
func (c *AWSContainer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := ""
	if r.URL.Path == c.o.Path {
		operation = "credentials"
	}
	if c.answers(w, r, operation, c.now, awsContainerWording) {
		return
	}
	authorization := r.Header.Values("Authorization")
	switch {
	case operation == "":
		writeContainerError(w, http.StatusNotFound, "NotFound", "There is nothing at this path")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		writeContainerError(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "Only GET is allowed")
	case len(authorization) == 0:
		writeContainerError(w, http.StatusUnauthorized, "MissingAuthorization", "The Authorization header is missing")
	case len(authorization) > 1 || authorization[0] != c.o.Authorization:
		writeContainerError(w, http.StatusForbidden, "AccessDenied", "The Authorization header is not the container's")
	default:
		c.credentials(w)
	}
}

func (c *AWSContainer) credentials(w http.ResponseWriter) {
	key, err := c.keys.get(c.limit(c.o.Lifetime))
	if err != nil {
		writeContainerError(w, http.StatusForbidden, "AccessDenied", "Unauthorized to assume the role "+c.o.RoleARN)
		return
	}
	writeJSON(w, "application/json", http.StatusOK, struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		AccountID       string `json:"AccountId"`
		Expiration      string
	}{key.id, key.secret, key.token, c.role.account, awsTime(key.expires)})
}

func writeContainerError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, "application/json", status, struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
}

var awsContainerWording = wording{
	throttled: func(w http.ResponseWriter) {
		writeContainerError(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate exceeded")
	},
	contentType: "application/json",
	malformed:   `{"AccessKeyId":"ASIA`,
}
