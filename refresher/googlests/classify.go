package googlests

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A refusal is the error body of a Google service, in either of its forms:
//
//	{"error": "invalid_grant", "error_description": "…"}                           RFC 6749 section 5.2
//	{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "…", "details": […]}}   AIP-193
//
// The zero refusal is a body that Google did not write.
type refusal struct {
	code    string
	message string
	reasons []string // of the second form: "SERVICE_DISABLED", "rateLimitExceeded" …
}

// errorCode is what a code looks like. Anything else in its place could be an echo of a token.
var errorCode = regexp.MustCompile(`^[A-Za-z_]{1,50}$`)

func parseRefusal(body []byte) refusal {
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &oauth) == nil && errorCode.MatchString(oauth.Error) {
		return refusal{code: oauth.Error, message: oauth.Description}
	}
	type reasoned struct {
		Reason string `json:"reason"`
	}
	var api struct {
		Error struct {
			Status  string     `json:"status"`
			Message string     `json:"message"`
			Errors  []reasoned `json:"errors"` // before AIP-193
			Details []reasoned `json:"details"`
		} `json:"error"`
	}
	// A member of another type than expected is skipped, and what could be read still counts.
	err := json.Unmarshal(body, &api)
	if _, misfit := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !misfit {
		return refusal{}
	}
	r := refusal{message: api.Error.Message}
	for _, e := range slices.Concat(api.Error.Details, api.Error.Errors) {
		if errorCode.MatchString(e.Reason) {
			r.reasons = append(r.reasons, e.Reason)
		}
	}
	if errorCode.MatchString(api.Error.Status) {
		r.code = api.Error.Status
	} else if len(r.reasons) > 0 {
		r.code = r.reasons[0]
	}
	if r.code == "" {
		return refusal{}
	}
	return r
}

// throttled recognises a quota, which some Google services refuse with 403 instead of 429.
func (r refusal) throttled() bool {
	return slices.ContainsFunc(append(r.reasons, r.code), func(name string) bool {
		switch strings.ToLower(strings.ReplaceAll(name, "_", "")) {
		case "resourceexhausted", "ratelimitexceeded", "userratelimitexceeded":
			return true
		}
		return false
	})
}

// A tokenRule says what a 4xx of the token service means. The first one that fits counts; texts only
// refine, because they change without notice.
type tokenRule struct {
	code  string
	text  *regexp.Regexp // nil fits any
	class refresher.Class
	hint  string
}

var tokenRules = []tokenRule{
	{"invalid_grant", regexp.MustCompile(`(?i)expir|stale|\b(iat|nbf)\b|issued at|not yet valid`), refresher.SubjectToken,
		"the token is outside its time: check that the source renews it, and the clock of the issuer"},
	{"invalid_grant", regexp.MustCompile(`(?i)\berror connecting\b|\b(fetch|retriev|download)`), refresher.Transient,
		"Google must be able to read the issuer's discovery document and keys; if it cannot, upload the keys to the provider"},
	{"invalid_grant", regexp.MustCompile(`(?i)\baudience\b`), refresher.Denied,
		"the source must give a token for an audience that the provider allows"},
	// Above all an unknown key id, while the issuer changes keys.
	{"invalid_grant", nil, refresher.SubjectToken,
		"compare the provider's issuer and keys with the token"},
	{"invalid_target", nil, refresher.Settling,
		"check that the pool and the provider exist, are enabled, and are spelt like this"},
	{"unauthorized_client", nil, refresher.Settling,
		"the provider's attribute condition rejects this token"},
	{"invalid_request", nil, refresher.Denied, ""},
	{"invalid_scope", nil, refresher.Denied, ""},
	{"unsupported_grant_type", nil, refresher.Denied, ""},
}

// tokenRefusal sorts the answer of the token service that the Attempt in ctx holds.
func (x *Exchanger) tokenRefusal(ctx context.Context, subject refresher.Token) *refresher.Error {
	r, e := parse(ctx)
	if e.Class != refresher.Settling {
		return e
	}
	i := slices.IndexFunc(tokenRules, func(rule tokenRule) bool {
		return rule.code == r.code && (rule.text == nil || rule.text.MatchString(r.message))
	})
	if i < 0 {
		return e
	}
	e.Class = tokenRules[i].class
	if hint := tokenRules[i].hint; hint != "" {
		e.Hint = fmt.Sprintf("%s; provider %s; %s", hint, x.o.Audience, describe(subject))
	}
	return e
}

// impersonationRefusal sorts the answer of the IAM Credentials API that the Attempt in ctx holds.
func (x *Exchanger) impersonationRefusal(ctx context.Context, subject refresher.Token) *refresher.Error {
	r, e := parse(ctx)
	if e.Class != refresher.Settling {
		return e
	}
	switch status := refresher.AttemptFrom(ctx).Data().Status; {
	case status == http.StatusUnauthorized:
		// The federated token is seconds old and never used again: the next attempt has another.
		e.Class = refresher.Transient
	case status == http.StatusBadRequest && r.code == "INVALID_ARGUMENT":
		e.Class = refresher.Denied
		if x.o.Lifetime > defaultLifetime {
			e.Hint = "a lifetime of more than 3600s needs the organization policy iam.allowServiceAccountCredentialLifetimeExtension for this account"
		}
	case slices.Contains(r.reasons, "SERVICE_DISABLED"):
		e.Hint = "enable iamcredentials.googleapis.com in the project"
	case status == http.StatusForbidden || status == http.StatusNotFound:
		e.Hint = fmt.Sprintf("check that the service account %s exists and grants roles/iam.workloadIdentityUser to this workload; a new binding takes minutes to spread; %s",
			x.o.ServiceAccount, cmp.Or(x.principal(subject), describe(subject)))
	}
	return e
}

// parse reads the body that the Attempt in ctx holds and applies the rules for any service. What
// those leave as Settling is a 4xx that Google itself wrote.
func parse(ctx context.Context) (refusal, *refresher.Error) {
	r := parseRefusal(refresher.AttemptFrom(ctx).Data().Body)
	e := upstream.StatusError(ctx, upstream.Reply{Code: r.code, Message: r.message})
	if e.Class == refresher.Settling && r.throttled() {
		e.Class = refresher.Throttled
	}
	return r, e
}

// principal is this workload's name in an IAM policy if the provider maps google.subject to the
// token's subject, as nearly all do; "" if that is not known.
func (x *Exchanger) principal(subject refresher.Token) string {
	claims, err := refresher.ParseClaims(subject.Raw)
	pool, _, found := strings.Cut(x.o.Audience, "/providers/")
	if err != nil || !found || claims.Subject == "" {
		return ""
	}
	return fmt.Sprintf("it is %.400q", "principal:"+pool+"/subject/"+claims.Subject)
}

// describe shows what the cloud compares. Claims are no secret, only the signed whole is; they are
// quoted because their text is the issuer's.
func describe(subject refresher.Token) string {
	claims, err := refresher.ParseClaims(subject.Raw)
	if err != nil {
		return "the token is not a JWT"
	}
	return fmt.Sprintf("the token says iss=%.200q sub=%.200q aud=%.200q",
		claims.Issuer, claims.Subject, strings.Join(claims.Audience, " "))
}
