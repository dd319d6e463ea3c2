package agent

import (
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// awsExchange is AWS STS AssumeRoleWithWebIdentity.
type awsExchange struct {
	RoleARN     string        `yaml:"roleArn" doc:"role to assume: arn:PARTITION:iam::ACCOUNT:role/NAME (required unless endpoint is set)"`
	Region      string        `yaml:"region" doc:"region whose STS is asked; aws-global is the global one (required unless endpoint is set)"`
	SessionName string        `yaml:"sessionName" doc:"name that CloudTrail shows (default NAMESPACE-SERVICEACCOUNT-POD from the token, the same for the life of a Pod)"`
	Duration    time.Duration `yaml:"duration" doc:"lifetime to ask for, 15m to 12h, and at most the role's maximum (default 1h, or 15m if there is a chain: that session only signs the next request)"`
	Policy      string        `yaml:"policy" doc:"session policy, JSON: the role's permissions are cut down to it"`
	PolicyARNs  []string      `yaml:"policyArns" doc:"managed policies that do the same, at most 10"`
	Chain       []hopConfig   `yaml:"chain" doc:"roles to assume one after the other from the first; the last one's credentials are handed out, for an hour at most"`
	Expected    string        `yaml:"expectedAccount" doc:"account, 12 digits, that the credentials must be of; others are refused"`
	Audience    string        `yaml:"audience" doc:"audience that the token should have, for the warning if it has not (default sts.amazonaws.com)"`
	Legacy      bool          `yaml:"legacy" doc:"use the global STS in the regions that had no other once, as AWS_STS_REGIONAL_ENDPOINTS=legacy does (default false)"`
	FIPS        bool          `yaml:"fips" doc:"use the FIPS endpoint (default false)"`
	DualStack   bool          `yaml:"dualStack" doc:"use the dual-stack endpoint, which has IPv6 (default false)"`
	Endpoint    string        `yaml:"endpoint" doc:"URL of another STS instead: of MinIO, Ceph RGW or another service with an STS like AWS's"`
}

// hopConfig is a role that is assumed with the credentials of the one before it.
type hopConfig struct {
	RoleARN           string            `yaml:"roleArn" doc:"role to assume (required)"`
	ExternalID        string            `yaml:"externalId" doc:"external id that the role's trust policy demands"`
	SessionName       string            `yaml:"sessionName" doc:"name that CloudTrail shows (default: that of the first role)"`
	SourceIdentity    string            `yaml:"sourceIdentity" doc:"source identity; it sticks to all roles after this one"`
	Duration          time.Duration     `yaml:"duration" doc:"lifetime to ask for, 15m to 1h, which is the most that AWS grants here (default 1h for the last role, 15m for those before)"`
	Tags              map[string]string `yaml:"tags" doc:"session tags"`
	TransitiveTagKeys []string          `yaml:"transitiveTagKeys" doc:"those of the tags that pass on to the next roles"`
	Policy            string            `yaml:"policy" doc:"session policy, JSON"`
	PolicyARNs        []string          `yaml:"policyArns" doc:"managed session policies, at most 10"`
}

func (o *awsExchange) options(transport *upstream.Transport) awssts.Options {
	options := awssts.Options{
		RoleARN: o.RoleARN, Region: o.Region, SessionName: o.SessionName, Duration: o.Duration,
		Policy: o.Policy, PolicyARNs: o.PolicyARNs, ExpectedAccount: o.Expected,
		Legacy: o.Legacy, FIPS: o.FIPS, DualStack: o.DualStack, Endpoint: o.Endpoint, Transport: transport,
	}
	for _, hop := range o.Chain {
		options.Chain = append(options.Chain, awssts.Hop{
			RoleARN: hop.RoleARN, SessionName: hop.SessionName, ExternalID: hop.ExternalID, SourceIdentity: hop.SourceIdentity,
			Duration: hop.Duration, Tags: hop.Tags, TransitiveTagKeys: hop.TransitiveTagKeys, Policy: hop.Policy, PolicyARNs: hop.PolicyARNs,
		})
	}
	return options
}

func (o *awsExchange) check(transport *upstream.Transport) []refresher.FieldError {
	return o.options(transport).Check()
}

func (o *awsExchange) exchanger(s surroundings) (refresher.Exchanger, error) {
	return made(awssts.New(o.options(s.transport)))
}

// lastRole is the role whose credentials are handed out; empty if another service finds it in the token.
func (o *awsExchange) lastRole() string {
	if n := len(o.Chain); n > 0 {
		return o.Chain[n-1].RoleARN
	}
	return o.RoleARN
}

// region is where clients should work, as far as the exchange knows; the global STS says nothing of that.
func (o *awsExchange) region() string {
	if o.Region == "aws-global" {
		return ""
	}
	return o.Region
}

func (o *awsExchange) takes(tokenType string) bool { return isJWT(tokenType) }

func (o *awsExchange) yields() shape        { return accessKey }
func (o *awsExchange) floor() time.Duration { return floorAWS }

func (o *awsExchange) lifetime() time.Duration { return o.options(nil).Lifetime() }

func (o *awsExchange) audiences() []string {
	if o.Audience != "" {
		return []string{o.Audience}
	}
	return []string{"sts.amazonaws.com"}
}

func (o *awsExchange) warning() string {
	if !o.Legacy {
		return ""
	}
	return "in the older regions the global STS is asked, as legacy says: it is farther away and fails with us-east-1"
}
