package awssts

import (
	"encoding/json"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// The limits of session policies. What STS makes of them, together with tags, has another limit,
// which only STS can tell.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxPolicyText = 2048 // characters
	maxPolicyARNs = 10
)

var (
	policyARN = regexp.MustCompile(`^arn:(aws(?:-[a-z]+)*):iam::([0-9]{12}|aws):policy/(?:[\x21-\x2e\x30-\x7e]+/)*([A-Za-z0-9_+=,.@-]+)$`)
	// notInPolicy is what STS refuses in a policy. JSON can write it as \uXXXX.
	notInPolicy = regexp.MustCompile(`[^\t\n\r\x{20}-\x{FF}]`)
)

// checkPolicies judges the session policies of one role.
func (p *problems) checkPolicies(policy string, arns []string, role roleName) {
	var document map[string]json.RawMessage
	switch {
	case policy == "":
	case utf8.RuneCountInString(policy) > maxPolicyText:
		p.add("policy", "is longer than 2048 characters: move parts of it into managed policies")
	case json.Unmarshal([]byte(policy), &document) != nil || document == nil:
		p.add("policy", "is not a JSON object")
	case notInPolicy.MatchString(policy):
		p.add("policy", `holds characters that STS does not take: write them as \uXXXX`)
	}
	if len(arns) > maxPolicyARNs {
		p.add("policyArns", "has %d entries; STS takes %d at most", len(arns), maxPolicyARNs)
	}
	managed := 0
	for i, arn := range arns {
		managed += len(arn)
		if problem := policyProblem(arn, role); problem != "" {
			p.add(fmt.Sprintf("policyArns.%d", i), "%s", problem)
		}
	}
	inline := utf8.RuneCountInString(policy)
	if inline <= maxPolicyText && inline+managed > maxPolicyText {
		p.add("policyArns", "and policy have %d characters together; STS takes %d at most", inline+managed, maxPolicyText)
	}
}

// policyProblem says what is wrong with a managed policy's ARN; empty if nothing is.
func policyProblem(arn string, role roleName) string {
	m := policyARN.FindStringSubmatch(arn)
	switch {
	case m == nil || len(m[3]) > 128:
		return "is not of the form arn:<partition>:iam::<12 digits, or aws>:policy/<name>"
	case role == (roleName{}):
		return "" // nothing to compare with
	case m[1] != role.partition:
		return fmt.Sprintf("is in partition %s, but the role is in %s", m[1], role.partition)
	case m[2] != "aws" && m[2] != role.account:
		return fmt.Sprintf("is of account %s, but the role is of %s: policies are looked for in the role's account", m[2], role.account)
	}
	return ""
}

// policyDescriptors writes ARNs as the SDK wants them.
func policyDescriptors(arns []string) []types.PolicyDescriptorType {
	var list []types.PolicyDescriptorType
	for _, arn := range arns {
		list = append(list, types.PolicyDescriptorType{Arn: aws.String(arn)})
	}
	return list
}
