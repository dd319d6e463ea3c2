package format

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	eksPrefix = "k8s-aws-v1."
	// eksLife is how long a token is used. AWS takes signatures that are up to 15 minutes old; the
	// minute is what aws-iam-authenticator and aws eks get-token leave for clocks and the way.
	eksLife = 14 * time.Minute

	amzDate     = "20060102T150405Z"
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// eksToken is a URL by which the cluster asks AWS who has signed it: GetCallerIdentity, presigned with
// Signature Version 4, the cluster's name in a signed header. So the token is good for one cluster. It also
// returns until when.
//
// X-Amz-Expires has no effect at STS; authenticators check that it is small.
//
// Sources: https://github.com/kubernetes-sigs/aws-iam-authenticator (pkg/token),
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func eksToken(key refresher.AccessKey, expires time.Time, o Options) (string, time.Time, error) {
	switch {
	case o.Cluster == "":
		return "", time.Time{}, errors.New("of an AWS access key a token for EKS is made, and that needs the cluster's name")
	case len(o.Cluster) > 100 || !consistsOf(o.Cluster, "_-"):
		return "", time.Time{}, errors.New("the cluster's name must be at most 100 letters, digits, hyphens and underscores")
	case o.STSHost == "" || o.STSRegion == "":
		return "", time.Time{}, errors.New("of an AWS access key a token for EKS is made, and that needs a region: set it in the identity's exchange")
	case !consistsOf(o.STSHost, ".-") || !consistsOf(o.STSRegion, "-"):
		return "", time.Time{}, errors.New("the region, or the name of its STS, is none")
	}
	if err := checkAccessKey(key); err != nil {
		return "", time.Time{}, err
	}
	now := o.now()
	until := now.Add(eksLife)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	signed := "https://" + o.STSHost + "/?" + presign(key, o.STSHost, o.STSRegion, o.Cluster, now.UTC())
	return eksPrefix + base64.RawURLEncoding.EncodeToString([]byte(signed)), until, nil
}

// consistsOf reports whether there are only ASCII letters, digits and some more characters in s.
func consistsOf(s, more string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(more, r)
	})
}

// presign returns the signed query. What it is made of needs no more than url.Values does for it: there
// are no spaces, which AWS would have as %20.
func presign(key refresher.AccessKey, host, region, cluster string, at time.Time) string {
	const algorithm, terminator = "AWS4-HMAC-SHA256", "aws4_request"
	date := at.Format("20060102")
	scope := strings.Join([]string{date, region, "sts", terminator}, "/")
	query := url.Values{
		"Action":               {"GetCallerIdentity"},
		"Version":              {"2011-06-15"},
		"X-Amz-Algorithm":      {algorithm},
		"X-Amz-Credential":     {key.ID + "/" + scope},
		"X-Amz-Date":           {at.Format(amzDate)},
		"X-Amz-Expires":        {"60"},
		"X-Amz-Security-Token": {key.SessionToken.Reveal()},
		"X-Amz-SignedHeaders":  {"host;x-k8s-aws-id"},
	}.Encode()
	request := strings.Join([]string{"GET", "/", query, "host:" + host, "x-k8s-aws-id:" + cluster, "", "host;x-k8s-aws-id", emptySHA256}, "\n")
	digest := sha256.Sum256([]byte(request))
	toSign := strings.Join([]string{algorithm, at.Format(amzDate), scope, hex.EncodeToString(digest[:])}, "\n")

	signature := []byte("AWS4" + key.Secret.Reveal())
	for _, part := range []string{date, region, "sts", terminator, toSign} {
		mac := hmac.New(sha256.New, signature)
		mac.Write([]byte(part))
		signature = mac.Sum(nil)
	}
	return query + "&X-Amz-Signature=" + hex.EncodeToString(signature)
}
