package cloudtest

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The parameters of a presigned request besides those of the operation.
const (
	queryAlgorithm     = "X-Amz-Algorithm"
	queryCredential    = "X-Amz-Credential"
	queryDate          = "X-Amz-Date"
	queryExpires       = "X-Amz-Expires"
	querySecurityToken = "X-Amz-Security-Token"
	querySignedHeaders = "X-Amz-SignedHeaders"
	querySignature     = "X-Amz-Signature"
)

var (
	credentialForm    = regexp.MustCompile(`^([^/, ]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request$`)
	signedHeadersForm = regexp.MustCompile(`^[a-z0-9-]+(;[a-z0-9-]+)*$`)
	signatureForm     = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// maxPresigned is the longest X-Amz-Expires: a week. STS itself goes by X-Amz-Date alone, as for other
// signatures.
const maxPresigned = 604800

// parsePresigned reads the query of a presigned request.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
func parsePresigned(query url.Values) (authorization, *awsError) {
	if query.Get(queryAlgorithm) != "AWS4-HMAC-SHA256" {
		return authorization{}, incompleteSignature("AWS query-string parameters must include 'X-Amz-Algorithm' AWS4-HMAC-SHA256.")
	}
	m := credentialForm.FindStringSubmatch(query.Get(queryCredential))
	headers := query.Get(querySignedHeaders)
	names := strings.Split(headers, ";")
	if m == nil || !signedHeadersForm.MatchString(headers) || !slices.IsSorted(names) || !signatureForm.MatchString(query.Get(querySignature)) {
		return authorization{}, incompleteSignature("AWS query-string parameters must include 'X-Amz-Credential', 'X-Amz-SignedHeaders' and 'X-Amz-Signature' in their forms.")
	}
	if seconds, err := strconv.Atoi(query.Get(queryExpires)); err != nil || seconds < 1 || seconds > maxPresigned {
		return authorization{}, incompleteSignature("X-Amz-Expires must be a number of seconds up to a week.")
	}
	return authorization{
		keyID: m[1], date: m[2], region: m[3], service: m[4],
		headers: names, signature: query.Get(querySignature),
		at: query.Get(queryDate), token: query.Get(querySecurityToken), presigned: true,
	}, nil
}
