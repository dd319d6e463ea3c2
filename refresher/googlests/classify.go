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

var letters = regexp.MustCompile(`^[A-Za-z_]+$`)

// isCode tells what looks like a code. Anything else in its place could be an echo of a token.
func isCode(text string) bool { return len(text) <= 50 && letters.MatchString(text) }

func parseRefusal(body []byte) refusal {
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &oauth) == nil && isCode(oauth.Error) {
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
		if isCode(e.Reason) {
			r.reasons = append(r.reasons, e.Reason)
		}
	}
	if isCode(api.Error.Status) {
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
		case "resourceexhausted", "ratelimitexceeded", "userratelimitexceeded", "quotaexceeded":
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

// tokenRules are those that do not depend on the kind of subject token; see grantRules for the others.
var tokenRules = []tokenRule{
	{"invalid_target", nil, refresher.Settling,
		"check that the pool and the provider exist, are enabled, and are spelt like this"},
	{"unauthorized_client", nil, refresher.Settling,
		"the provider's attribute condition rejects this token"},
	{"invalid_request", regexp.MustCompile(`(?i)subject_?token_?type`), refresher.Denied,
		"the provider is for tokens of another kind: choose another provider or source, or set subjectTokenType"},
	{"invalid_request", regexp.MustCompile(`mapped attribute`), refresher.Denied,
		"change the provider's attribute mapping so that it makes less of this token"},
}

// requestHints are for the codes that are about the request and not about the token in it: none of
// these can succeed until the configuration changes.
var requestHints = map[string]string{
	"invalid_request":        "check audience, subjectTokenType and, for a workforce pool, userProject",
	"invalid_scope":          "check the scopes: they are URLs such as " + CloudPlatform,
	"invalid_client":         "check clientId and clientSecret",
	"unsupported_grant_type": "check tokenUrl: Google's token service knows this grant type",
}

// tokenRefusal sorts the answer of the token service that the Attempt in ctx holds.
func (x *Exchanger) tokenRefusal(ctx context.Context, subject refresher.Token) *refresher.Error {
	r, e := parse(ctx)
	if e.Class != refresher.Settling {
		return e
	}
	if hint := x.projectHint(r, "sts.googleapis.com", x.o.UserProject, subject); hint != "" {
		e.Hint = hint
		return e
	}
	rules := slices.Concat(grantRules(x.subjectType(subject)), tokenRules)
	i := slices.IndexFunc(rules, func(rule tokenRule) bool {
		return rule.code == r.code && (rule.text == nil || rule.text.MatchString(r.message))
	})
	if i >= 0 {
		e.Class = rules[i].class
		e.Hint = fmt.Sprintf("%s; provider %s; %s", rules[i].hint, x.o.Audience, x.describe(subject))
	} else if hint, known := requestHints[r.code]; known {
		e.Class, e.Hint = refresher.Denied, hint
		if r.code == "invalid_request" && x.o.workforce() && x.o.UserProject == "" && x.o.ClientID == "" {
			e.Hint = "set userProject: a workforce pool belongs to no project that the request could be billed to"
		}
	}
	return e
}

// impersonationRefusal sorts the answer of a method of the IAM Credentials API that the Attempt in
// ctx holds.
func (x *Exchanger) impersonationRefusal(ctx context.Context, subject refresher.Token, method string) *refresher.Error {
	r, e := parse(ctx)
	if e.Class != refresher.Settling {
		return e
	}
	if hint := x.projectHint(r, "iamcredentials.googleapis.com", x.o.QuotaProject, subject); hint != "" {
		e.Hint = hint
		return e
	}
	switch status := refresher.AttemptFrom(ctx).Data().Status; {
	case status == http.StatusUnauthorized:
		// The federated token is seconds old and never used again: the next attempt has another.
		e.Class = refresher.Transient
	case status == http.StatusBadRequest && r.code == "INVALID_ARGUMENT":
		e.Class = refresher.Denied
		e.Hint = "check scopes and delegates"
		if method == generateAccessToken && x.o.Lifetime > defaultLifetime {
			e.Hint = "a lifetime of more than 3600s needs the organization policy iam.allowServiceAccountCredentialLifetimeExtension for this account"
		}
	case status == http.StatusForbidden || status == http.StatusNotFound:
		e.Hint = x.bindingHint(subject)
	}
	return e
}

// bindingHint is the advice on an account that may not be impersonated. With delegates, the service
// does not say which link of the chain is missing.
func (x *Exchanger) bindingHint(subject refresher.Token) string {
	const settles = "a new binding takes minutes to spread"
	if len(x.o.Delegates) == 0 {
		return fmt.Sprintf("check that the service account %s exists and grants roles/iam.workloadIdentityUser to this workload; %s; %s",
			x.o.ServiceAccount, settles, x.principal(subject))
	}
	chain := append(slices.Clone(x.o.Delegates), x.o.ServiceAccount)
	return fmt.Sprintf("check that in the chain %s each service account exists and grants roles/iam.serviceAccountTokenCreator to the one before it, the first one to this workload; %s; %s",
		strings.Join(chain, " > "), settles, x.principal(subject))
}

// projectHint is the advice on a refusal over the project that a request is billed to, "" for any
// other. https://cloud.google.com/apis/design/errors lists the reasons.
func (x *Exchanger) projectHint(r refusal, api, project string, subject refresher.Token) string {
	switch {
	case slices.Contains(r.reasons, "SERVICE_DISABLED"):
		return strings.TrimSpace("enable " + api + " in the project " + project)
	case slices.Contains(r.reasons, "USER_PROJECT_DENIED"), slices.Contains(r.reasons, "CONSUMER_INVALID"):
		return fmt.Sprintf("check that the project %s exists and grants roles/serviceusage.serviceUsageConsumer to this workload; a new binding takes minutes to spread; %s",
			cmp.Or(project, "that is billed"), x.principal(subject))
	}
	return ""
}

// parse reads the body that the Attempt in ctx holds and applies the rules for any service. What
// those leave as Settling is a 4xx that Google itself wrote.
func parse(ctx context.Context) (refusal, *refresher.Error) {
	r := parseRefusal(refresher.AttemptFrom(ctx).Data().Body)
	e := upstream.StatusError(ctx, upstream.Reply{Code: r.code, Message: r.message})
	if e.Class == refresher.Settling && r.throttled() {
		e.Class = refresher.Throttled
	}
	return r, upstream.Advise(e)
}
