package endpoints

import (
	"net/http"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A Reason says why a request gets no credential, in words that belong to no protocol.
type Reason int

const (
	// BadRequest: the request makes no sense.
	BadRequest Reason = iota
	// BadHost: the Host header names somebody else: DNS rebinding, or a stray request.
	BadHost
	// Forwarded: the request came through a proxy, so its sender may not be in this Pod.
	Forwarded
	// Browser: a web page sent the request.
	Browser
	// NotFound: no such path.
	NotFound
	// BadMethod: not with this method. Refusal.Allow has the right ones.
	BadMethod
	// Unauthorized: the secret is missing.
	Unauthorized
	// Forbidden: the secret is wrong, or the header that proves a deliberate request is missing.
	Forbidden
	// TooLarge: the body is larger than any client's.
	TooLarge
	// TooManyFields: more header fields than any client sends.
	TooManyFields
	// NotAllowed: the configuration does not allow this scope, resource or audience.
	NotAllowed
	// NotReady: there is no credential yet, or for the moment; asking again helps.
	NotReady
	// Denied: the cloud refuses, and asking again does not help until somebody changes something.
	Denied
	// Internal: wisp is wired up wrongly, and no caller can do anything about it.
	Internal
)

// Status is the HTTP status that a reason has unless a protocol knows better.
func (r Reason) Status() int {
	switch r {
	case BadHost, Forwarded, Browser, Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case BadMethod:
		return http.StatusMethodNotAllowed
	case Unauthorized:
		return http.StatusUnauthorized
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case TooManyFields:
		return http.StatusRequestHeaderFieldsTooLarge
	case NotReady, Denied:
		return http.StatusServiceUnavailable
	case Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// A Refusal is the answer to a request that gets no credential. It is also an error, so that a
// handler can return it.
type Refusal struct {
	Reason Reason
	// Message is a fixed sentence for the caller. It never holds text from a cloud or from the request.
	Message string
	// Code is the failure's own code, for the protocols that show one: "AccessDenied",
	// "AADSTS700213", or one of the refresher.Code constants. Empty for a fault of the request.
	Code string
	// Allow lists the methods, for BadMethod.
	Allow []string
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// Refuse returns a Refusal.
func Refuse(reason Reason, message string) *Refusal {
	return &Refusal{Reason: reason, Message: message}
}

// Explain turns the error of a [Provider] into what the caller is told. It is the only place that
// does. The cloud's own words stay in the log: they may quote what was sent.
func Explain(err error) *Refusal {
	e := refresher.AsError(err)
	switch {
	case e.Code == refresher.CodeTargetNotAllowed:
		return &Refusal{Reason: NotAllowed, Code: e.Code, Message: "this scope, resource or audience is not allowed by the configuration"}
	case e.Code == refresher.CodeTooManyTargets:
		return &Refusal{Reason: NotReady, Code: e.Code, Message: "too many scopes, resources or audiences are in use at once"}
	case e.Class == refresher.Denied:
		return &Refusal{Reason: Denied, Code: e.Code, Message: "the cloud refuses this identity; the log of wisp says why"}
	default:
		return &Refusal{Reason: NotReady, Code: e.Code, Message: "there is no credential at the moment; try again"}
	}
}
