package awssts

import (
	"regexp"
	"strings"
)

// A roleName is what a role's ARN says about where it is. Services other than AWS leave parts empty.
type roleName struct {
	partition string // "aws", "aws-cn", and so on
	account   string // 12 digits
}

var (
	awsRole = regexp.MustCompile(`^arn:(aws(?:-[a-z]+)*):iam::([0-9]{12}):role/(?:[\x21-\x2e\x30-\x7e]+/)*[A-Za-z0-9_+=,.@-]+$`)
	// otherRole has a tenant, or nothing, in place of the account. MinIO names its region if it has one.
	// https://docs.ceph.com/en/latest/radosgw/role/
	// https://github.com/minio/minio/blob/master/docs/sts/web-identity.md
	otherRole = regexp.MustCompile(`^arn:(?:aws|minio):iam:[a-z0-9-]*:[A-Za-z0-9_-]*:role/(?:[\x21-\x2e\x30-\x7e]+/)*[A-Za-z0-9_+=,.@-]+$`)
)

// parseRole reads the ARN of an AWS role. For all else it returns the zero value.
func parseRole(arn string) roleName {
	m := awsRole.FindStringSubmatch(arn)
	if m == nil {
		return roleName{}
	}
	return roleName{partition: m[1], account: m[2]}
}

// checkRole judges an ARN, for AWS or for another service.
func (p *problems) checkRole(arn string, other bool) {
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	fits := len(arn) <= 2048 && len(name) <= 64
	switch {
	case fits && awsRole.MatchString(arn):
	case !other:
		p.add("roleArn", "is not of the form arn:<partition>:iam::<12 digits>:role/<name>")
	case !fits || !otherRole.MatchString(arn):
		p.add("roleArn", "is not of the form arn:<partition>:iam::<12 digits>:role/<name>, arn:aws:iam::<tenant>:role/<name> or arn:minio:iam:::role/<name>")
	}
}
