package awssts

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// hop assumes the role of one hop, from the session of the one before.
func (x *Exchanger) hop(ctx context.Context, i int, name string, caller session) (session, error) {
	hop := x.options.Chain[i]
	out, err := x.client.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn:           aws.String(hop.RoleARN),
		RoleSessionName:   aws.String(cmp.Or(hop.SessionName, name)),
		DurationSeconds:   seconds(x.options.hopDuration(i)),
		ExternalId:        optional(hop.ExternalID),
		SourceIdentity:    optional(hop.SourceIdentity),
		Tags:              sessionTags(hop.Tags),
		TransitiveTagKeys: hop.TransitiveTagKeys,
		Policy:            optional(hop.Policy),
		PolicyArns:        policyDescriptors(hop.PolicyARNs),
	}, signedWith(caller.key))
	if err != nil {
		e, reply := sortFailure(ctx, err)
		// No token was sent here that could be read again. Every attempt begins with a new first
		// session, so what is wrong with the caller's may be right the next time.
		if e.Class == refresher.SubjectToken {
			e.Class = refresher.Transient
		}
		x.explainHop(e, reply, i)
		return session{}, x.at(i, e)
	}
	s, err := newSession(out.Credentials, out.AssumedRoleUser, hop.RoleARN, refresher.AttemptFrom(ctx).ServerNow())
	if err != nil {
		return session{}, x.at(i, refresher.AsError(err))
	}
	return s, nil
}

// at says at which hop a failure happened.
func (x *Exchanger) at(i int, e *refresher.Error) *refresher.Error {
	e.Err = fmt.Errorf("chain.%d, %s: %w", i, x.options.Chain[i].RoleARN, e.Err)
	return e
}

func sessionTags(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

// explainHop adds the hint.
func (x *Exchanger) explainHop(e *refresher.Error, reply upstream.Reply, i int) {
	hop := x.options.Chain[i]
	caller := x.options.RoleARN
	if i > 0 {
		caller = x.options.Chain[i-1].RoleARN
	}
	switch reply.Code {
	case "AccessDenied":
		e.Hint = fmt.Sprintf("%s must be allowed %s on %s, by its own policies and by the trust policy of that role, which is shown %s; a new role or policy takes minutes to be visible",
			cmp.Or(caller, "the first session"), strings.Join(x.options.hopActions(i), ", "), hop.RoleARN, shown(hop.ExternalID))
	case "SignatureDoesNotMatch", "RequestExpired":
		e.Hint = "if this stays, a proxy changes the request on its way, or the node's clock is wrong and the service does not tell the time"
	case "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException":
		e.Hint = fmt.Sprintf("STS does not take the keys that it gave for %s a moment ago: if this stays, check what answers at the endpoint", cmp.Or(caller, "the token"))
	case "PackedPolicyTooLarge":
		e.Hint = "shorten policy, policyArns and tags of this hop, and the transitive tags of those before it"
	case "RegionDisabledException":
		e.Hint = regionOff(x.options.Region, parseRole(hop.RoleARN).account)
	case "MalformedPolicyDocument":
		e.Hint = malformedPolicy
	}
}

// hopActions are those that the roles' policies must allow for a hop.
func (o Options) hopActions(i int) []string {
	actions := []string{"sts:AssumeRole"}
	before := o.Chain[:i]
	if len(o.Chain[i].Tags) > 0 || slices.ContainsFunc(before, func(h Hop) bool { return len(h.TransitiveTagKeys) > 0 }) {
		actions = append(actions, "sts:TagSession")
	}
	if slices.ContainsFunc(o.Chain[:i+1], func(h Hop) bool { return h.SourceIdentity != "" }) {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	return actions
}

// shown says what the trust policy finds as sts:ExternalId.
func shown(externalID string) string {
	if externalID == "" {
		return "no external id"
	}
	return fmt.Sprintf("the external id %.64q", externalID)
}
