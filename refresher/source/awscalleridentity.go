package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

const (
	// DefaultVerificationURL is the request that is signed here and sent by Google.
	DefaultVerificationURL = "https://sts." + regionVariable + ".amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"

	regionVariable = "{region}"
	globalSTS      = "us-east-1" // the region that sts.amazonaws.com is in

	// signatureLife is how old a signature may be, for Google and for AWS.
	signatureLife = 15 * time.Minute
	// backdated is how far before the present a request is signed. Google takes no signature from the
	// future, not even by a second, and the engine lets a local clock that is fast by up to 30 s pass for right.
	backdated = time.Minute

	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// AWSCallerIdentityOptions configure an [AWSCallerIdentity].
type AWSCallerIdentityOptions struct {
	// TargetResource is the provider that the token is for, Google's audience:
	// //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER.
	// Required.
	TargetResource string
	// Region is put in place of {region} in VerificationURL. Empty means what Keys say. Google asks only
	// the STS of amazonaws.com, so that the regions of China, for one, cannot be used.
	Region string
	// VerificationURL is the request to sign. Empty means DefaultVerificationURL.
	VerificationURL string
	// Keys are what to sign with. Required.
	Keys AWSKeys
}

// An AWSKeys is where access keys come from: [AWSKeysOf] and [NewAWSAmbient] make them. It must be safe for
// concurrent use.
type AWSKeys interface {
	// AWSKey returns the present key, and until when it works, in AWS's time; zero if that is not known.
	// It is called for every token. A key without a session token is one of a user, which does not expire.
	AWSKey(ctx context.Context) (refresher.AccessKey, time.Time, error)
	// AWSRegion returns the region that this workload runs in. It is called for every token that needs it.
	AWSRegion(ctx context.Context) (string, error)
}

// An AWSCallerIdentity is a request to AWS for GetCallerIdentity that was signed but not sent. Google sends
// it, and so learns who has signed. The token is of type refresher.TypeAWSRequest; it is signed anew each
// time. It implements [refresher.Source].
//
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token (subject_token)
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
type AWSCallerIdentity struct {
	options AWSCallerIdentityOptions // with defaults filled in
}

// NewAWSCallerIdentity returns the source, or everything that is wrong with the options as one error.
func NewAWSCallerIdentity(o AWSCallerIdentityOptions) (*AWSCallerIdentity, error) {
	if err := refresher.JoinFieldErrors(o.Check()); err != nil {
		return nil, fmt.Errorf("AWS caller identity: %w", err)
	}
	if o.Keys == nil {
		return nil, errors.New("AWS caller identity: Keys are required")
	}
	o.VerificationURL = cmp.Or(o.VerificationURL, DefaultVerificationURL)
	return &AWSCallerIdentity{options: o}, nil
}

var (
	awsProvider = regexp.MustCompile(`^//iam\.googleapis\.com/projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+$`)
	// awsSTS are the hosts that Google takes in a signed request.
	awsSTS = regexp.MustCompile(`^sts(?:\.([a-z]+(?:-[a-z]+)+-[0-9]+))?\.amazonaws\.com$`)

	awsRegion = regexp.MustCompile(`^[a-z]+(?:-[a-z]+)+-[0-9]+$`)
	// foreignRegion are the regions whose names do not end in amazonaws.com.
	foreignRegion = regexp.MustCompile(`^(?:cn|eusc|[a-z]+-iso[a-z]?)-`)
)

// Check reports everything that is wrong with the options; nil if nothing is.
func (o AWSCallerIdentityOptions) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, problem string) {
		if problem != "" {
			problems = append(problems, refresher.FieldError{Field: field, Problem: problem})
		}
	}
	switch {
	case o.TargetResource == "":
		report("targetResource", "is required: it is the audience of the Google identity")
	case !awsProvider.MatchString(o.TargetResource):
		report("targetResource", "is not of the form //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER")
	}
	if o.Region != "" {
		report("region", regionProblem(o.Region))
	}
	if o.VerificationURL != "" {
		report("verificationUrl", verificationProblem(o.VerificationURL))
	}
	return problems
}

// regionProblem says why Google cannot verify what is signed for a region; empty if it can.
func regionProblem(region string) string {
	switch {
	case !awsRegion.MatchString(region):
		return fmt.Sprintf("%.40q is not the name of a region, such as eu-west-1", region)
	case foreignRegion.MatchString(region):
		return fmt.Sprintf("%q is in a partition of AWS that Google does not ask: it knows accounts below amazonaws.com only", region)
	}
	return ""
}

// verificationProblem keeps wisp from signing what is no question of identity: a signed request is as good
// as its permission.
func verificationProblem(raw string) string {
	u, err := new(upstream.Transport).CheckURL(strings.ReplaceAll(raw, regionVariable, globalSTS))
	if err != nil {
		return err.Error()
	}
	query := u.Query()
	switch {
	case !awsSTS.MatchString(u.Host) || strings.Trim(u.Path, "/") != "":
		return "is not below https://sts.amazonaws.com or https://sts.{region}.amazonaws.com: Google asks nobody else"
	case len(query) != 2 || query.Get("Action") != "GetCallerIdentity" || query.Get("Version") == "":
		return "does not end in ?Action=GetCallerIdentity&Version=2011-06-15"
	}
	return ""
}

// Token implements [refresher.Source]. It signs with the present key, by Google's time as far as that is
// known. Errors are those of the keys.
func (s *AWSCallerIdentity) Token(ctx context.Context) (refresher.Token, error) {
	verification, region, err := s.verification(ctx)
	if err != nil {
		return refresher.Token{}, err
	}
	key, expires, err := s.options.Keys.AWSKey(ctx)
	if err != nil {
		return refresher.Token{}, err
	}
	attempt := refresher.AttemptFrom(ctx)
	now := attempt.ServerNow()
	// As long as Google has not told its time in this attempt, it may be our clock that is wrong and not the
	// key that is old. The engine knows what to do about that, by the token's Expires.
	if told := attempt == nil || !attempt.Data().Date.IsZero(); told && !expires.IsZero() && !expires.After(now) {
		return refresher.Token{}, expiredKey(expires)
	}
	token := refresher.Token{Type: refresher.TypeAWSRequest, Issued: now.Add(-backdated).UTC().Truncate(time.Second)}
	token.Expires = token.Issued.Add(signatureLife)
	if !expires.IsZero() && expires.Before(token.Expires) {
		token.Expires = expires
	}
	token.Raw, err = signCallerIdentity(ctx, verification, region, s.options.TargetResource, key, token.Issued)
	if err != nil {
		return refresher.Token{}, noToken(errors.New("the request to AWS cannot be signed"))
	}
	return token, nil
}

// verification is the URL to sign, and the region to sign it for.
func (s *AWSCallerIdentity) verification(ctx context.Context) (*url.URL, string, error) {
	raw := s.options.VerificationURL
	if strings.Contains(raw, regionVariable) {
		region := s.options.Region
		if region == "" {
			var err error
			if region, err = s.options.Keys.AWSRegion(ctx); err != nil {
				return nil, "", err
			}
			if problem := regionProblem(region); problem != "" {
				failure := noRegion("the AWS region " + problem)
				if foreignRegion.MatchString(region) {
					failure.Hint = "use another source: an account there cannot prove itself to Google"
				}
				return nil, "", failure
			}
		}
		raw = strings.ReplaceAll(raw, regionVariable, region)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "", noToken(errors.New("the verification URL is not a valid one"))
	}
	named := awsSTS.FindStringSubmatch(u.Host) // Check has seen to it that it matches
	return u, cmp.Or(named[1], globalSTS), nil
}

// A signedRequest is the token, before it is URL-encoded.
type signedRequest struct {
	URL     string         `json:"url"`
	Method  string         `json:"method"`
	Headers []signedHeader `json:"headers"`
}

type signedHeader struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// signCallerIdentity signs a POST without a body. All headers are signed, so that the token is good for one
// provider only.
func signCallerIdentity(ctx context.Context, u *url.URL, region, target string, key refresher.AccessKey, at time.Time) (refresher.Secret, error) {
	const targetResource = "X-Goog-Cloud-Target-Resource"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	r.Header.Set(targetResource, target)
	// A new signer each time: it would keep what it derives from the secret.
	err = v4.NewSigner().SignHTTP(ctx, aws.Credentials{
		AccessKeyID:     key.ID,
		SecretAccessKey: key.Secret.Reveal(),
		SessionToken:    key.SessionToken.Reveal(),
	}, r, emptySHA256, "sts", region, at)
	if err != nil {
		return "", err
	}
	signed := signedRequest{URL: r.URL.String(), Method: r.Method, Headers: []signedHeader{
		{"Authorization", r.Header.Get("Authorization")},
		{"host", r.URL.Host},
		{"x-amz-date", r.Header.Get("X-Amz-Date")},
	}}
	if key.SessionToken != "" {
		signed.Headers = append(signed.Headers, signedHeader{"x-amz-security-token", key.SessionToken.Reveal()})
	}
	signed.Headers = append(signed.Headers, signedHeader{"x-goog-cloud-target-resource", target})
	text, err := json.Marshal(signed)
	if err != nil {
		return "", err
	}
	return refresher.Secret(url.QueryEscape(string(text))), nil
}
