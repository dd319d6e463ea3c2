package cloudtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// attachments are what a caller attaches to a session: policies that narrow what the role may do,
// tags, and a source identity.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
type attachments struct {
	policy         string
	policyARNs     []string
	tags           []sessionTag
	transitive     []string
	sourceIdentity string
}

type sessionTag struct{ key, value string }

// is compares keys: their case is kept but does not tell them apart.
func (t sessionTag) is(key string) bool { return strings.EqualFold(t.key, key) }

const (
	maxPolicyText = 2048 // characters of the policy and of the ARNs, together
	maxPolicyARNs = 10
	maxTags       = 50
	// maxPacked stands for the limit of what STS packs into a session token. How it packs is not
	// published.
	maxPacked = 4096

	tagsClaim           = "https://aws.amazon.com/tags"
	sourceIdentityClaim = "https://aws.amazon.com/source_identity"
)

var (
	policyText         = regexp.MustCompile(`^[\t\n\r\x{20}-\x{FF}]*$`)
	sourceIdentityForm = regexp.MustCompile(`^[\w+=,.@-]*$`)
	tagKeyForm         = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$`)
	tagValueForm       = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

// member lists the values of the parameters name.member.N.field, in order; field may be empty.
func member(p url.Values, name, field string) []string {
	if field != "" {
		field = "." + field
	}
	var values []string
	for n := 1; ; n++ {
		key := name + ".member." + strconv.Itoa(n) + field
		if !p.Has(key) {
			return values
		}
		values = append(values, p.Get(key))
	}
}

// readPolicies reads the parameters that both kinds of AssumeRole have.
func (n *attachments) readPolicies(p url.Values) (problems []string) {
	if p.Has("Policy") {
		n.policy = p.Get("Policy")
		problems = checkText("policy", n.policy, 1, maxPolicyText, policyText)
	}
	n.policyARNs = member(p, "PolicyArns", "arn")
	for i, arn := range n.policyARNs {
		problems = append(problems, checkText(fmt.Sprintf("policyArns.%d.member.arn", i+1), arn, 20, 2048, anything)...)
	}
	return problems
}

// readTags reads the parameters that only AssumeRole has: a web identity brings them in its token.
func (n *attachments) readTags(p url.Values) (problems []string) {
	keys, values := member(p, "Tags", "Key"), member(p, "Tags", "Value")
	n.transitive = member(p, "TransitiveTagKeys", "")
	if len(keys) != len(values) {
		return []string{"Value at 'tags' failed to satisfy constraint: each member must have a key and a value"}
	}
	for _, list := range []struct {
		name string
		n    int
	}{{"tags", len(keys)}, {"transitiveTagKeys", len(n.transitive)}} {
		if list.n > maxTags {
			problems = append(problems, "Value at '"+list.name+"' failed to satisfy constraint: Member must have length less than or equal to 50")
		}
	}
	for i, key := range keys {
		problems = append(problems, checkTag(i, key, values[i])...)
		n.tags = append(n.tags, sessionTag{key, values[i]})
	}
	if p.Has("SourceIdentity") {
		n.sourceIdentity = p.Get("SourceIdentity")
		problems = append(problems, checkText("sourceIdentity", n.sourceIdentity, 2, 64, sourceIdentityForm)...)
	}
	return problems
}

func checkTag(i int, key, value string) (problems []string) {
	problems = checkText(fmt.Sprintf("tags.%d.member.key", i+1), key, 1, 128, tagKeyForm)
	if value != "" {
		problems = append(problems, checkText(fmt.Sprintf("tags.%d.member.value", i+1), value, 1, 256, tagValueForm)...)
	}
	if strings.HasPrefix(strings.ToLower(key), "aws:") {
		problems = append(problems, "Value '"+key+"' at 'tags' failed to satisfy constraint: keys that begin with aws: are reserved")
	}
	return problems
}

// readClaims reads the tags and the source identity that an identity provider puts into its tokens.
func (n *attachments) readClaims(claims map[string]any) *awsError {
	malformed := invalidIdentity("The claim " + tagsClaim + " is malformed")
	if claim, ok := claims[tagsClaim]; ok {
		var tags struct {
			Principal  map[string][]string `json:"principal_tags"`
			Transitive []string            `json:"transitive_tag_keys"`
		}
		text, err := json.Marshal(claim)
		if err != nil || json.Unmarshal(text, &tags) != nil {
			return malformed
		}
		for _, key := range slices.Sorted(maps.Keys(tags.Principal)) {
			values := tags.Principal[key]
			if len(values) != 1 {
				return malformed
			}
			n.tags = append(n.tags, sessionTag{key, values[0]})
		}
		n.transitive = tags.Transitive
	}
	if claim, ok := claims[sourceIdentityClaim]; ok {
		text, ok := claim.(string)
		if !ok || len(text) < 2 || len(text) > 64 || !sourceIdentityForm.MatchString(text) {
			return invalidIdentity("The claim " + sourceIdentityClaim + " is malformed")
		}
		n.sourceIdentity = text
	}
	return nil
}

// inherit adds what a session that begins in another one carries over, none of which can be set anew.
func (n *attachments) inherit(caller session) *awsError {
	for _, tag := range n.tags {
		if slices.ContainsFunc(caller.TransitiveTagKeys, tag.is) {
			return invalidParameter("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
	}
	if n.sourceIdentity != "" && caller.SourceIdentity != "" {
		return &awsError{http.StatusBadRequest, "ValidationError", "The source identity is already set for this assume role session"}
	}
	for _, key := range slices.Sorted(maps.Keys(caller.Tags)) {
		tag := sessionTag{key, caller.Tags[key]}
		if slices.ContainsFunc(caller.TransitiveTagKeys, tag.is) {
			n.tags = append(n.tags, tag)
		}
	}
	n.transitive = slices.Concat(n.transitive, caller.TransitiveTagKeys)
	if n.sourceIdentity == "" {
		n.sourceIdentity = caller.SourceIdentity
	}
	return nil
}

// check judges the attachments as a whole, those that were inherited included.
func (a *AWS) check(n attachments, role roleName) *awsError {
	for i, tag := range n.tags {
		if slices.ContainsFunc(n.tags[:i], func(t sessionTag) bool { return t.is(tag.key) }) {
			return invalidParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
	}
	for _, key := range n.transitive {
		if !slices.ContainsFunc(n.tags, func(t sessionTag) bool { return t.is(key) }) {
			return invalidParameter("The specified transitive tag key must be included in the requested tags.")
		}
	}
	if n.policy != "" {
		var document map[string]json.RawMessage
		if json.Unmarshal([]byte(n.policy), &document) != nil || document["Statement"] == nil {
			return &awsError{http.StatusBadRequest, "MalformedPolicyDocument", "The policy is not in the valid JSON format."}
		}
	}
	if len(n.policyARNs) > maxPolicyARNs {
		return invalidParameter("The number of managed policies exceeds the limit of 10")
	}
	for _, arn := range n.policyARNs {
		if !a.hasPolicy(arn, role) {
			return invalidParameter("Policy " + arn + " does not exist or is not attachable.")
		}
	}
	if n.policySize() > maxPolicyText {
		return packedTooLarge("policy", n.policySize()*100/maxPolicyText)
	}
	if percent := n.packed(); percent > 100 {
		return packedTooLarge("session tags", percent)
	}
	return nil
}

func (n attachments) policySize() int {
	return utf8.RuneCountInString(n.policy + strings.Join(n.policyARNs, ""))
}

// packed is how much of the room in a session token is used, in percent.
func (n attachments) packed() int {
	size := n.policySize()
	for _, tag := range n.tags {
		size += len(tag.key) + len(tag.value)
	}
	return (size*100 + maxPacked - 1) / maxPacked
}

// hasPolicy tells whether a managed policy can narrow a session of the role.
func (a *AWS) hasPolicy(arn string, role roleName) bool {
	if strings.HasPrefix(arn, "arn:"+role.partition+":iam::aws:policy/") {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.policies[arn] && strings.HasPrefix(arn, "arn:"+role.partition+":iam::"+role.account+":policy/")
}

func invalidParameter(message string) *awsError {
	return &awsError{http.StatusBadRequest, "InvalidParameterValue", message}
}

func packedTooLarge(what string, percent int) *awsError {
	return &awsError{http.StatusBadRequest, "PackedPolicyTooLarge", fmt.Sprintf("Packed size of %s consumes %d%% of allotted space.", what, percent)}
}
