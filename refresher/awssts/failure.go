package awssts

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// classes sorts the error codes of STS. Codes decide before the status does: STS throttles with
// 400 as well as with 429 and 503. A code that is not here, such as that of a new error, is sorted
// by its status.
var classes = map[string]refresher.Class{
	"InternalFailure":    refresher.Transient,
	"ServiceUnavailable": refresher.Transient,
	"RequestTimeout":     refresher.Transient,
	// STS cannot reach the issuer.
	"IDPCommunicationError": refresher.Transient,

	"Throttling":               refresher.Throttled,
	"ThrottlingException":      refresher.Throttled,
	"RequestThrottled":         refresher.Throttled,
	"RequestLimitExceeded":     refresher.Throttled,
	"TooManyRequests":          refresher.Throttled,
	"TooManyRequestsException": refresher.Throttled,
	"SlowDown":                 refresher.Throttled,

	"ExpiredTokenException": refresher.SubjectToken,
	"ExpiredToken":          refresher.SubjectToken,
	// The default for this code; its messages tell more, see failure.
	"InvalidIdentityToken": refresher.SubjectToken,
	// By its documentation this can also mean that the token has expired or was revoked.
	"IDPRejectedClaim": refresher.SubjectToken,

	// Of signed calls. The keys are those of a session that has just begun.
	"InvalidClientTokenId":  refresher.Transient,
	"SignatureDoesNotMatch": refresher.Transient,
	"RequestExpired":        refresher.Transient,

	"AccessDenied": refresher.Settling,

	"ValidationError":         refresher.Denied,
	"InvalidParameterValue":   refresher.Denied,
	"MalformedPolicyDocument": refresher.Denied,
	"PackedPolicyTooLarge":    refresher.Denied,
	"RegionDisabledException": refresher.Denied,
}

// failure sorts what went wrong with the first call, and says what the token's claims have to do
// with it. Claims are no secret; the token's signature is.
func (x *Exchanger) failure(ctx context.Context, err error, claims refresher.Claims) *refresher.Error {
	e, reply := sortFailure(ctx, err)
	x.explain(e, reply, claims)
	return e
}

// sortFailure sorts by what any call can fail of.
func sortFailure(ctx context.Context, err error) (*refresher.Error, upstream.Reply) {
	data := refresher.AttemptFrom(ctx).Data()
	if data.Status == 0 {
		return upstream.NetworkError(err), upstream.Reply{}
	}
	if data.Status/100 == 2 {
		return badCredential(fmt.Errorf("STS answered with something that cannot be read: %w", upstream.NetworkError(err))), upstream.Reply{}
	}
	reply := replyIn(err)
	if reply == (upstream.Reply{}) {
		reply = bareReply(data.Body)
	}
	e := upstream.StatusError(ctx, reply)
	if class, ok := classes[reply.Code]; ok {
		e.Class, e.Hint = class, ""
	}
	return upstream.Advise(e), reply
}

// replyIn finds what STS itself said. For a body that is XML but not an STS error, such as an HTML
// page, the SDK makes up the code "UnknownError"; for others there is no API error at all.
func replyIn(err error) upstream.Reply {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() == "UnknownError" {
		return upstream.Reply{}
	}
	return upstream.Reply{Code: api.ErrorCode(), Message: api.ErrorMessage()}
}

// bareReply reads the error of a service that writes those of its STS as those of its S3: the element
// Error is the document. The Ceph Object Gateway does.
func bareReply(body []byte) upstream.Reply {
	var document struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}
	if xml.Unmarshal(body, &document) != nil || document.Code == "" {
		return upstream.Reply{}
	}
	return upstream.Reply{Code: document.Code, Message: document.Message}
}

// explain adds the hint, and the class where the message tells more than the code. Messages are no
// stable interface, so they are matched loosely.
func (x *Exchanger) explain(e *refresher.Error, reply upstream.Reply, claims refresher.Claims) {
	says := func(phrase string) bool {
		return strings.Contains(strings.ToLower(reply.Message), phrase)
	}
	switch reply.Code {
	case "InvalidIdentityToken":
		switch {
		case says("verification key"):
			e.Class = refresher.Transient
			e.Hint = unreachable(claims)
		case says("no openidconnect provider"):
			e.Class = refresher.Settling
			e.Hint = fmt.Sprintf("account %s needs an IAM OIDC provider for the issuer %s; a new one takes minutes to be visible", parseRole(x.options.RoleARN).account, quote(claims.Issuer))
		case says("audience"):
			e.Class = refresher.Denied
			e.Hint = fmt.Sprintf("the token says aud=%s: ask for a token with an audience that the IAM OIDC provider of issuer %s lists, usually %q",
				quote(claims.Audience...), quote(claims.Issuer), "sts.amazonaws.com")
		default:
			e.Hint = "check that the issuer publishes the key that has signed the token, and that the token is whole; it says " + who(claims)
		}
	case "IDPCommunicationError":
		e.Hint = unreachable(claims)
	case "ExpiredTokenException", "ExpiredToken":
		e.Hint = "whatever renews the token has stopped"
		if claims.Expires.After(time.Now()) {
			e.Hint = fmt.Sprintf("by the local clock the token is valid until %s: check the node's clock", claims.Expires.UTC().Format(time.RFC3339))
		}
	case "AccessDenied":
		e.Hint = fmt.Sprintf("the trust policy of %s must allow sts:AssumeRoleWithWebIdentity for %s; a new role or policy takes minutes to be visible",
			x.options.RoleARN, who(claims))
		if x.options.RoleARN == "" {
			e.Hint = fmt.Sprintf("without roleArn the service finds the rights in a claim of the token, and this one says %s: add the claim, or set roleArn", who(claims))
		}
	case "ValidationError":
		if says("duration") {
			e.Hint = fmt.Sprintf("%s was asked for: raise the role's maximum session duration, or lower duration", x.options.duration())
		}
	case "MalformedPolicyDocument":
		e.Hint = malformedPolicy
	case "PackedPolicyTooLarge":
		e.Hint = "shorten policy and policyArns, or the session tags in the token"
	case "RegionDisabledException":
		e.Hint = regionOff(x.options.Region, parseRole(x.options.RoleARN).account)
	}
}

const malformedPolicy = "policy is JSON, but not a policy that IAM understands: correct it"

func regionOff(region, account string) string {
	return fmt.Sprintf("STS in %s is not activated for account %s: activate it in the account settings of IAM, or choose another region", region, account)
}

func unreachable(claims refresher.Claims) string {
	return fmt.Sprintf("AWS must be able to read the keys of issuer %s from the internet, and find the one that has signed the token among them", quote(claims.Issuer))
}

// who lists the claims that a trust policy can have conditions on.
func who(claims refresher.Claims) string {
	return fmt.Sprintf("iss=%s sub=%s aud=%s", quote(claims.Issuer), quote(claims.Subject), quote(claims.Audience...))
}

// quote makes claims fit to print: they are what somebody wrote into a token.
func quote(claims ...string) string {
	const most = 3
	var quoted []string
	for _, claim := range claims[:min(len(claims), most)] {
		quoted = append(quoted, fmt.Sprintf("%.256q", claim))
	}
	if len(claims) > most {
		quoted = append(quoted, "…")
	}
	if len(quoted) == 0 {
		return `""`
	}
	return strings.Join(quoted, ",")
}
