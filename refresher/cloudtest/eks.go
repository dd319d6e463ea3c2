package cloudtest

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EKSOptions configure an [EKS].
type EKSOptions struct {
	Cluster   string            // its name
	Transport http.RoundTripper // leads to STS; nil is http.DefaultTransport
	Now       func() time.Time  // nil is time.Now
}

// EKS is the part of an EKS cluster's API server that knows who a bearer token is from. It checks what
// aws-iam-authenticator checks, and has AWS do the rest.
//
// https://github.com/kubernetes-sigs/aws-iam-authenticator
type EKS struct{ o EKSOptions }

// NewEKS returns the authenticator of a cluster.
func NewEKS(o EKSOptions) *EKS {
	o.Now = clock(o.Now)
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	return &EKS{o}
}

const clusterHeader = "X-K8s-Aws-Id"

// eksParameters are all that a token's URL may have, in lower case.
var eksParameters = []string{
	"action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires",
	"x-amz-security-token", "x-amz-signature", "x-amz-signedheaders",
}

// Authenticate returns the ARN that the token stands for.
func (e *EKS) Authenticate(ctx context.Context, token string) (arn string, err error) {
	target, err := e.check(token)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	r.Header.Set(clusterHeader, e.o.Cluster)
	answer, err := e.o.Transport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var identity getCallerIdentityResponse
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("error from AWS (expected 200, got %d)", answer.StatusCode)
	}
	if err := xml.NewDecoder(answer.Body).Decode(&identity); err != nil {
		return "", err
	}
	return identity.Result.ARN, nil
}

// check reads the URL in a token, as far as that can be judged without AWS.
func (e *EKS) check(token string) (*url.URL, error) {
	const longest = 4 << 10
	encoded, ok := strings.CutPrefix(token, "k8s-aws-v1.")
	if !ok || len(token) > longest {
		return nil, errors.New("the token is too large or has not the prefix k8s-aws-v1")
	}
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(string(text))
	if err != nil {
		return nil, err
	}
	if target.Scheme != "https" || !awsSTSHost.MatchString(target.Host) || target.Path != "/" {
		return nil, errors.New("unexpected scheme, host name or path in pre-signed URL")
	}
	query, err := url.ParseQuery(target.RawQuery)
	if err != nil {
		return nil, err
	}
	lower := url.Values{}
	for name, values := range query {
		key := strings.ToLower(name)
		if !slices.Contains(eksParameters, key) || len(values) != 1 {
			return nil, fmt.Errorf("parameter %s is not allowed, or has several values", name)
		}
		lower.Set(key, values[0])
	}
	expires, err := strconv.Atoi(lower.Get("x-amz-expires"))
	signed, dateErr := time.Parse(amzDate, lower.Get("x-amz-date"))
	switch {
	case lower.Get("action") != "GetCallerIdentity":
		return nil, errors.New("unexpected action parameter in pre-signed URL")
	case !slices.Contains(strings.Split(lower.Get("x-amz-signedheaders"), ";"), strings.ToLower(clusterHeader)):
		return nil, errors.New("client did not sign the x-k8s-aws-id header in the pre-signed URL")
	case err != nil || expires < 0 || expires > 900:
		return nil, errors.New("invalid X-Amz-Expires parameter in pre-signed URL")
	case dateErr != nil || e.o.Now().After(signed.Add(signatureLife)):
		return nil, errors.New("X-Amz-Date parameter is missing or expired")
	}
	return target, nil
}
