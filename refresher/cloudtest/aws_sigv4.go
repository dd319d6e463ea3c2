package cloudtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	amzDate       = "20060102T150405Z"
	signatureLife = 15 * time.Minute
)

// authenticate verifies the request's Signature Version 4, in its Authorization header or in its query,
// and returns the session that signed it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (a *AWS) authenticate(call awsCall) (session, *awsError) {
	claimed, failure := claimedBy(call)
	if failure != nil {
		return session{}, failure
	}
	signed, err := time.Parse(amzDate, claimed.at)
	if err != nil {
		return session{}, incompleteSignature("Date must be in ISO-8601 'basic format'")
	}
	// The token that is sent decides, not only the key: a session's key without its token is as
	// unknown as any other.
	a.mu.Lock()
	s, ok := a.sessions[claimed.keyID]
	a.mu.Unlock()
	if !ok || claimed.token != s.token {
		return session{}, &awsError{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid."}
	}
	now := a.now()
	if !now.Before(s.Expires) {
		return session{}, &awsError{http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired"}
	}
	if complaint := claimed.check(call, signed, now); complaint != "" {
		return session{}, mismatch(complaint)
	}
	if !hmac.Equal([]byte(claimed.signature), []byte(claimed.sign(call, s.secret))) {
		return session{}, mismatch("The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return s, nil
}

func mismatch(message string) *awsError {
	return &awsError{http.StatusForbidden, "SignatureDoesNotMatch", message}
}

// An authorization is the content of the header of that name, and of those that belong to it; or what the
// query of a presigned request has instead.
type authorization struct {
	keyID                 string
	date, region, service string // the credential scope
	headers               []string
	signature             string
	at                    string // X-Amz-Date
	token                 string // X-Amz-Security-Token
	presigned             bool
}

// claimedBy finds the authorization of a call.
func claimedBy(call awsCall) (authorization, *awsError) {
	header := call.Header.Get("Authorization")
	presigned := call.URL.Query().Has(querySignature)
	switch {
	case header != "" && presigned:
		return authorization{}, &awsError{http.StatusBadRequest, "InvalidRequest", "Only one auth mechanism allowed"}
	case presigned:
		return parsePresigned(call.URL.Query())
	case header == "":
		return authorization{}, &awsError{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	}
	claimed, ok := parseAuthorization(header)
	if !ok {
		return authorization{}, incompleteSignature("Authorization header is not in the form of AWS4-HMAC-SHA256")
	}
	claimed.at, claimed.token = call.Header.Get("X-Amz-Date"), call.Header.Get("X-Amz-Security-Token")
	return claimed, nil
}

func incompleteSignature(message string) *awsError {
	return &awsError{http.StatusBadRequest, "IncompleteSignature", message}
}

var authorizationForm = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?` +
		`SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

func parseAuthorization(header string) (authorization, bool) {
	m := authorizationForm.FindStringSubmatch(header)
	if m == nil {
		return authorization{}, false
	}
	return authorization{
		keyID: m[1], date: m[2], region: m[3], service: m[4],
		headers: strings.Split(m[5], ";"), signature: m[6],
	}, true
}

var regionalHost = regexp.MustCompile(`^sts(?:-fips)?\.([a-z]+(?:-[a-z]+)+-\d)\.`)

// check finds what is wrong with a signature apart from its value.
func (a authorization) check(call awsCall, signed, now time.Time) string {
	if a.service != "sts" {
		return "Credential should be scoped to correct service: 'sts'."
	}
	host := call.Host
	region := ""
	if m := regionalHost.FindStringSubmatch(host); m != nil {
		region = m[1]
	} else if host == "sts.amazonaws.com" {
		region = "us-east-1"
	}
	if region != "" && a.region != region {
		return "Credential should be scoped to a valid region, not '" + a.region + "'."
	}
	if a.date != signed.Format("20060102") {
		return fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'.",
			a.date, signed.Format("20060102"))
	}
	if !slices.Contains(a.headers, "host") {
		return "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
	}
	if !a.presigned && !slices.Contains(a.headers, "x-amz-date") {
		return "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."
	}
	if oldest := now.Add(-signatureLife); signed.Before(oldest.Truncate(time.Second)) {
		return fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)",
			signed.Format(amzDate), oldest.UTC().Format(amzDate), now.UTC().Format(amzDate))
	}
	if newest := now.Add(signatureLife); signed.After(newest) {
		return fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 15 min.)",
			signed.Format(amzDate), newest.UTC().Format(amzDate), now.UTC().Format(amzDate))
	}
	return ""
}

// sign computes the signature that the request should have.
func (a authorization) sign(call awsCall, secret string) string {
	scope := strings.Join([]string{a.date, a.region, a.service, "aws4_request"}, "/")
	stringToSign := strings.Join([]string{
		"AWS4-HMAC-SHA256",
		a.at,
		scope,
		hexSHA256([]byte(a.canonical(call))),
	}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request", stringToSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// canonical writes the request in the form that is signed. The path is always "/".
func (a authorization) canonical(call awsCall) string {
	var b strings.Builder
	query := call.URL.Query()
	query.Del(querySignature)
	fmt.Fprintf(&b, "%s\n/\n%s\n", call.Method, canonicalQuery(query))
	for _, name := range a.headers {
		value := strings.Join(call.Header.Values(name), ",")
		if name == "host" {
			value = call.Host
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(a.headers, ";"), hexSHA256(call.body))
	return b.String()
}

// canonicalQuery sorts by name, then value, and encodes all but the unreserved characters of
// RFC 3986.
func canonicalQuery(query url.Values) string {
	encode := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[name])) {
			pairs = append(pairs, encode(name)+"="+encode(value))
		}
	}
	return strings.Join(pairs, "&")
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
