package cloudtest

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// awsRequest is a subject token of type aws4_request: a signed but unsent GetCallerIdentity.
type awsRequest struct {
	URL     string `json:"url"`
	Method  string `json:"method"`
	Headers []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"headers"`
}

var awsSTSHost = regexp.MustCompile(`^sts(?:\.[a-z0-9-]+)?\.amazonaws\.com$`)

// verifyAWS checks a signed request and sends it to AWS, which knows whose it is.
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token (subject_token)
func (g *Google) verifyAWS(ctx context.Context, subject string, p PoolProvider) (map[string]any, *oauthError) {
	invalid := func(why string) (map[string]any, *oauthError) {
		return nil, &oauthError{"invalid_grant", "Invalid AWS subject token: " + why + "."}
	}
	// Some libraries encode a blank as "+", others as "%20".
	text, err := url.QueryUnescape(subject)
	if err != nil {
		return invalid("it is not URL-encoded")
	}
	var signed awsRequest
	if err := json.Unmarshal([]byte(text), &signed); err != nil {
		return invalid("it is not a JSON object")
	}
	target, err := url.Parse(signed.URL)
	if err != nil || target.Scheme != "https" || !awsSTSHost.MatchString(target.Host) || strings.Trim(target.Path, "/") != "" {
		return invalid("the url is not that of STS")
	}
	query := map[string]string{}
	for name, values := range target.Query() {
		query[strings.ToLower(name)] = strings.ToLower(values[0])
	}
	if query["action"] != "getcalleridentity" || query["version"] == "" {
		return invalid("the url does not ask for GetCallerIdentity")
	}
	if signed.Method != http.MethodPost {
		return invalid("the method is not POST")
	}
	header := make(http.Header)
	for _, field := range signed.Headers {
		header.Add(field.Key, field.Value)
	}
	for _, name := range []string{"x-amz-date", "authorization", "host", "x-goog-cloud-target-resource"} {
		if header.Get(name) == "" {
			return invalid("the header " + name + " is missing")
		}
	}
	if header.Get("host") != target.Host {
		return invalid("the header host differs from the url")
	}
	resource := strings.TrimPrefix(header.Get("x-goog-cloud-target-resource"), "https:")
	if resource != "//iam.googleapis.com/"+p.Name {
		return invalid("the header x-goog-cloud-target-resource does not name the provider")
	}
	date, err := time.Parse(amzDate, header.Get("x-amz-date"))
	if now := g.now(); err != nil || date.After(now) || now.Sub(date) > signatureLife {
		return invalid("the header x-amz-date is not within the last 15 minutes")
	}
	return g.askAWS(ctx, target, header, p)
}

// askAWS sends the request and compares the account.
func (g *Google) askAWS(ctx context.Context, target *url.URL, header http.Header, p PoolProvider) (map[string]any, *oauthError) {
	refused := &oauthError{"invalid_grant", "Error connecting to the given credential's issuer."}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), http.NoBody)
	if err != nil {
		return nil, refused
	}
	r.Header = header
	r.Host = header.Get("host")
	answer, err := g.transport.RoundTrip(r)
	if err != nil {
		return nil, refused
	}
	defer answer.Body.Close()
	var identity getCallerIdentityResponse
	if answer.StatusCode != http.StatusOK || xml.NewDecoder(answer.Body).Decode(&identity) != nil {
		return nil, &oauthError{"invalid_grant", "Received invalid AWS response of type: " + answer.Status}
	}
	if identity.Result.Account != p.AWSAccount {
		return nil, &oauthError{"invalid_grant", "The AWS account does not match the one of the identity provider."}
	}
	return map[string]any{
		"account": identity.Result.Account,
		"arn":     identity.Result.ARN,
		"userid":  identity.Result.UserID,
	}, nil
}
