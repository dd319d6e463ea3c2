package entra

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A refusal is Entra's error body. The zero refusal is a body that Entra did not write.
type refusal struct {
	Error       string `json:"error"` // RFC 6749 section 5.2
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
}

// oauthError is what an OAuth error code looks like, if it is no longer than maxCode. Anything else in its
// place could be an echo of the assertion. (As a limit within the pattern it would cost memory and time.)
var oauthError = regexp.MustCompile(`^[a-z_]+$`)

const maxCode = 50

func parseRefusal(body []byte) refusal {
	var r refusal
	err := json.Unmarshal(body, &r)
	// A member of another type than expected is skipped, and what could be read still counts.
	if _, misfit := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !misfit {
		return refusal{}
	}
	if len(r.Error) > maxCode || !oauthError.MatchString(r.Error) {
		return refusal{}
	}
	return r
}

// number is the AADSTS number, 0 without one.
func (r refusal) number() int {
	if len(r.Codes) == 0 {
		return 0
	}
	return r.Codes[0]
}

// code is the number as Microsoft writes it, else the OAuth error.
func (r refusal) code() string {
	if n := r.number(); n > 0 {
		return "AADSTS" + strconv.Itoa(n)
	}
	return r.Error
}

// message is the first line of the description, without the number. The rest is ids and a time.
func (r refusal) message() string {
	text, _, _ := strings.Cut(r.Description, " Trace ID:")
	text, _, _ = strings.Cut(text, "\n")
	return strings.TrimPrefix(text, r.code()+": ")
}

// classes are what a 4xx with an AADSTS number means
// (https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes). Microsoft says
// that the numbers are no stable interface, so what is not listed goes by the status, and lands
// where it heals by itself.
var classes = map[int]refresher.Class{
	50033: refresher.Transient, // a temporary error
	50087: refresher.Transient, // a temporary error of single sign-on
	90033: refresher.Transient, // the directory is temporarily unavailable
	90061: refresher.Transient, // the issuer's documents could not be fetched

	50196: refresher.Throttled, // the client runs in a loop
	90055: refresher.Throttled, // too many requests for the tenant

	700024: refresher.SubjectToken, // outside its time
	700027: refresher.SubjectToken, // signature, or unknown key: while the issuer changes keys
	50012:  refresher.SubjectToken, // authentication failed
	50013:  refresher.SubjectToken, // assertion not valid
	50027:  refresher.SubjectToken, // malformed JWT
	50166:  refresher.SubjectToken, // the request to the issuer failed
	500133: refresher.SubjectToken, // assertion outside its time

	// No matching federated credential. A new one takes seconds to minutes to be seen, and old ones
	// are now and then missed.
	70021:   refresher.Settling, // the older, generic number
	700211:  refresher.Settling, // issuer
	700212:  refresher.Settling, // audience
	7002121: refresher.Settling,
	700213:  refresher.Settling, // subject
	700016:  refresher.Settling, // application not found in the tenant
	90002:   refresher.Settling, // tenant not found

	7002138: refresher.Denied, // the subject matches but for upper and lower case
	700222:  refresher.Denied, // tokens of Entra itself are no assertions here
	700226:  refresher.Denied,
	700227:  refresher.Denied,
	50001:   refresher.Denied, // resource
	500011:  refresher.Denied, // resource not found in the tenant
	70011:   refresher.Denied, // scope
	28002:   refresher.Denied, // scope
	1002012: refresher.Denied, // scope without /.default
	53003:   refresher.Denied, // conditional access
	7000112: refresher.Denied, // application disabled
	7000215: refresher.Denied, // wrong secret: no assertion was seen
	7000222: refresher.Denied, // expired secret: no assertion was seen
}

// refused sorts the answer that the Attempt in ctx holds.
func refused(ctx context.Context, subject refresher.Token) *refresher.Error {
	r := parseRefusal(refresher.AttemptFrom(ctx).Data().Body)
	e := upstream.StatusError(ctx, upstream.Reply{Code: r.code(), Message: r.message()})
	if e.Class != refresher.Settling {
		return e // any service's rules: outages, throttling, redirects, bodies of somebody else
	}
	if class, known := classes[r.number()]; known {
		e.Class = class
	} else if r.Error == "temporarily_unavailable" {
		e.Class = refresher.Transient
	}
	e.Hint = hint(r.number(), subject)
	return e
}
