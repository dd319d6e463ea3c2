package refresher

import (
	"errors"
	"strings"
)

// A Class sorts failures by what has to happen next. No class ever stops retrying for good, and
// none ends the process: that would turn a cloud's problem into a crash loop with a colder cache.
type Class int

const (
	// Transient (T1): the network, DNS, a 5xx, an answer that makes no sense. Retry soon.
	Transient Class = iota
	// Throttled (T2): the service asked for fewer calls. Retry when it says, else with long jitter.
	Throttled
	// SubjectToken (T3): the service refused the token itself. Read it again; if it has changed,
	// retry at once.
	SubjectToken
	// Settling (T4): a trust, provider or binding is not visible. New ones take minutes to spread,
	// so this counts as a failure of configuration only after ten minutes.
	Settling
	// Denied (T5): it cannot succeed until somebody changes something.
	Denied
)

// String gives the class's name as metrics and logs show it.
func (c Class) String() string {
	switch c {
	case Transient:
		return "transient"
	case Throttled:
		return "throttled"
	case SubjectToken:
		return "subject_token"
	case Settling:
		return "settling"
	case Denied:
		return "denied"
	}
	return "unknown"
}

// Codes that the engine itself produces or gives a meaning to. Other codes are the clouds' own.
const (
	// CodeNotReady: no exchange has ended yet.
	CodeNotReady = "not_ready"
	// CodeSubjectMissing: there is no subject token to read.
	CodeSubjectMissing = "subject_missing"
	// CodeSubjectInvalid: what was read is not a well-formed token.
	CodeSubjectInvalid = "subject_invalid"
	// CodeSubjectExpired: the token is too old to be worth sending.
	CodeSubjectExpired = "subject_expired"
	// CodeForeignResponse: a 4xx that the service itself would not have written: a mesh or a captive
	// proxy answers in its place. [Transient] for the first minute of a Refresher, then [Settling].
	CodeForeignResponse = "foreign_response"
	// CodeBadCredential: the exchange "succeeded" with something that cannot be used.
	CodeBadCredential = "bad_credential"
	// CodePanic: the exchange panicked.
	CodePanic = "panic"
	// CodeTooManyTargets: the process serves as many dynamic targets as it may.
	CodeTooManyTargets = "too_many_targets"
	// CodeTargetNotAllowed: the configuration does not list this scope, resource or audience.
	CodeTargetNotAllowed = "target_not_allowed"
)

// An Error is a failure that says who must act. Err is the cause; its text must already be fit to
// print (see upstream.Clean for text that came from a service). Hint is what the reader
// can do about it, a sentence without a full stop, or empty.
type Error struct {
	Class Class
	Code  string // the service's own error code, or one of the Code constants
	Hint  string
	Err   error
}

// Error reads "code: cause".
func (e *Error) Error() string {
	var parts []string
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if len(parts) == 0 {
		return e.Class.String()
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError finds the [*Error] in err's chain. Any other error counts as [Transient], the class that
// heals by itself; nil gives nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Class: Transient, Err: err}
}

// A FieldError says what is wrong with one configuration field. Packages that take options report
// all their problems as a slice of these; whoever read the options from a document adds where.
type FieldError struct {
	Field   string // camelCase, as in the configuration: "roleArn"; dots separate nested fields
	Problem string // a sentence without the field's name or a full stop
}

// Error reads "field: problem".
func (e FieldError) Error() string { return e.Field + ": " + e.Problem }

// JoinFieldErrors makes one error of all problems; nil if there is none.
func JoinFieldErrors(list []FieldError) error {
	all := make([]error, len(list))
	for i, e := range list {
		all[i] = e
	}
	return errors.Join(all...)
}
