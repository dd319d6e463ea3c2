package awssts

import (
	"fmt"
	"slices"
	"strings"
)

// A partition is a set of regions with accounts, IAM and DNS names of its own. New ones are rare:
// the list is the one of the AWS SDKs of 2025.
type partition struct {
	name      string
	prefix    string // of its regions' names; empty for the partition that has all other regions
	suffix    string
	dualStack string // suffix of the names that also have IPv6 addresses
}

var partitions = []partition{
	{name: "aws-cn", prefix: "cn-", suffix: "amazonaws.com.cn", dualStack: "api.amazonwebservices.com.cn"},
	{name: "aws-us-gov", prefix: "us-gov-", suffix: "amazonaws.com", dualStack: "api.aws"},
	{name: "aws-eusc", prefix: "eusc-", suffix: "amazonaws.eu", dualStack: "api.amazonwebservices.eu"},
	{name: "aws-iso", prefix: "us-iso-", suffix: "c2s.ic.gov", dualStack: "api.aws.ic.gov"},
	{name: "aws-iso-b", prefix: "us-isob-", suffix: "sc2s.sgov.gov", dualStack: "api.aws.scloud"},
	{name: "aws-iso-e", prefix: "eu-isoe-", suffix: "cloud.adc-e.uk", dualStack: "api.cloud-aws.adc-e.uk"},
	{name: "aws-iso-f", prefix: "us-isof-", suffix: "csp.hci.ic.gov", dualStack: "api.aws.hci.ic.gov"},
	{name: "aws", suffix: "amazonaws.com", dualStack: "api.aws"},
}

const (
	globalRegion   = "aws-global"
	globalEndpoint = "https://sts.amazonaws.com"
	// defaultRegion is where the global endpoint is. Services that know no regions take it too.
	defaultRegion = "us-east-1"
)

// legacyRegions are the regions that existed before STS became regional.
var legacyRegions = []string{
	"ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
	"eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
	"us-east-1", "us-east-2", "us-west-1", "us-west-2",
}

func partitionOf(region string) partition {
	i := slices.IndexFunc(partitions, func(p partition) bool { return strings.HasPrefix(region, p.prefix) })
	return partitions[i]
}

// endpointProblem says what is wrong with Region given the role; empty if nothing is. A role of
// one partition cannot be assumed at the STS of another, and the error of STS does not say so.
func (o Options) endpointProblem() string {
	role, region := parseRole(o.RoleARN).partition, partitionOf(o.Region).name
	switch {
	case role == "" || role == region:
		return ""
	case o.Region == globalRegion:
		return fmt.Sprintf("%s exists only in partition aws, and the role is in %s: name a region", globalRegion, role)
	}
	return fmt.Sprintf("%s is in partition %s, but the role is in %s", o.Region, region, role)
}

// url is the endpoint to send to. It expects options that have passed Check.
func (o Options) url() string {
	if o.Endpoint != "" {
		return o.Endpoint
	}
	plain := !o.FIPS && !o.DualStack
	if o.Region == globalRegion || o.Legacy && plain && slices.Contains(legacyRegions, o.Region) {
		return globalEndpoint
	}
	p := partitionOf(o.Region)
	service, suffix := "sts", p.suffix
	if o.DualStack {
		suffix = p.dualStack
	}
	// In GovCloud the plain name is the FIPS endpoint; only its dual-stack variant has two names.
	if o.FIPS && (o.DualStack || p.name != "aws-us-gov") {
		service = "sts-fips"
	}
	return "https://" + service + "." + o.Region + "." + suffix
}

// signingRegion is the region that requests are signed for.
func (o Options) signingRegion() string {
	if o.Region == "" || o.Region == globalRegion || o.url() == globalEndpoint {
		return defaultRegion
	}
	return o.Region
}

// STS is the host name of the STS in o's region, and the region that requests to it are signed for; both
// are empty if o names no region. Endpoint and DualStack do not count: it is for requests that are
// handed to others, EKS clusters say, who know the plain names only.
func (o Options) STS() (host, region string) {
	if o.Region == "" {
		return "", ""
	}
	o.Endpoint, o.DualStack = "", false
	return strings.TrimPrefix(o.url(), "https://"), o.signingRegion()
}
