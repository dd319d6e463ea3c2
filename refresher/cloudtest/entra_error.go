package cloudtest

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// An entraError is a refusal, by its AADSTS number.
type entraError struct {
	code    int
	message string
}

func entraRefusal(code int, format string, args ...any) *entraError {
	return &entraError{code: code, message: fmt.Sprintf(format, args...)}
}

// kind gives the OAuth error and the status that come with a number.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
func (e *entraError) kind() (oauth string, status int) {
	switch e.code {
	case 700211, 700212, 700213, 7002138, 70025, 700024, 700027, 7000218, 5002738:
		return "invalid_client", http.StatusUnauthorized
	case 50013:
		return "invalid_grant", http.StatusBadRequest
	case 700016:
		return "unauthorized_client", http.StatusBadRequest
	case 500011:
		return "invalid_resource", http.StatusBadRequest
	case 70011, 1002012:
		return "invalid_scope", http.StatusBadRequest
	case 70003:
		return "unsupported_grant_type", http.StatusBadRequest
	case 90033:
		return "temporarily_unavailable", http.StatusServiceUnavailable
	case 90055:
		return "temporarily_unavailable", http.StatusTooManyRequests
	}
	return "invalid_request", http.StatusBadRequest
}

const entraJSON = "application/json; charset=utf-8"

// An entraAnswer writes one answer, under the ids that support asks for.
type entraAnswer struct {
	http.ResponseWriter
	trace       string
	correlation string // the client's, if it sent one
	now         func() time.Time
}

// newAnswer makes up the ids and puts them into the header of any answer.
func (e *Entra) newAnswer(w http.ResponseWriter, r *http.Request) *entraAnswer {
	trace := e.chance.uuid()
	a := &entraAnswer{
		ResponseWriter: w,
		trace:          trace,
		correlation:    cmp.Or(r.Header.Get("client-request-id"), e.chance.uuid()),
		now:            e.now,
	}
	w.Header().Set("X-Ms-Request-Id", trace)
	if r.Header.Get("client-request-id") != "" {
		w.Header().Set("Client-Request-Id", a.correlation)
	}
	return a
}

// refuse writes an error of RFC 6749 section 5.2 with Entra's additions.
func (a *entraAnswer) refuse(e *entraError) {
	oauth, status := e.kind()
	timestamp := a.now().UTC().Format("2006-01-02 15:04:05Z")
	code := strconv.Itoa(e.code)
	writeJSON(a, entraJSON, status, struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		Codes         []int  `json:"error_codes"`
		Timestamp     string `json:"timestamp"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
		URI           string `json:"error_uri"`
	}{
		Error: oauth,
		Description: fmt.Sprintf("AADSTS%s: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
			code, e.message, a.trace, a.correlation, timestamp),
		Codes:         []int{e.code},
		Timestamp:     timestamp,
		TraceID:       a.trace,
		CorrelationID: a.correlation,
		URI:           "https://login.microsoftonline.com/error?code=" + code,
	})
}

// wording is how Entra says what every service may have to.
func (a *entraAnswer) wording() wording {
	return wording{
		throttled: func(http.ResponseWriter) {
			a.refuse(entraRefusal(90055, "The server is terminating due to excessive requests from this tenant."))
		},
		contentType: entraJSON,
		malformed:   `{"token_type":"Bearer","expires_in":3599,"access_token":"eyJ`,
	}
}
