package endpoints_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

func TestExplain(t *testing.T) {
	const quoted = "the cloud quotes a token"
	failure := func(class refresher.Class, code string) error {
		return fmt.Errorf("outer: %w", &refresher.Error{Class: class, Code: code, Hint: quoted, Err: errors.New(quoted)})
	}
	const (
		later   = "there is no credential at the moment; try again"
		refused = "the cloud refuses this identity; the log of wisp says why"
	)
	tests := []struct {
		name string
		err  error
		want endpoints.Refusal
	}{
		{"nothing has ended yet", failure(refresher.Transient, refresher.CodeNotReady), endpoints.Refusal{Reason: endpoints.NotReady, Code: refresher.CodeNotReady, Message: later}},
		{"the network", failure(refresher.Transient, ""), endpoints.Refusal{Reason: endpoints.NotReady, Message: later}},
		{"throttled", failure(refresher.Throttled, "Throttling"), endpoints.Refusal{Reason: endpoints.NotReady, Code: "Throttling", Message: later}},
		{"the subject token is refused", failure(refresher.SubjectToken, "ExpiredToken"), endpoints.Refusal{Reason: endpoints.NotReady, Code: "ExpiredToken", Message: later}},
		{"a trust that is not visible yet", failure(refresher.Settling, "AADSTS700213"), endpoints.Refusal{Reason: endpoints.NotReady, Code: "AADSTS700213", Message: later}},
		{"denied", failure(refresher.Denied, "AccessDenied"), endpoints.Refusal{Reason: endpoints.Denied, Code: "AccessDenied", Message: refused}},
		{"a target that the configuration does not list", failure(refresher.Denied, refresher.CodeTargetNotAllowed), endpoints.Refusal{Reason: endpoints.NotAllowed, Code: refresher.CodeTargetNotAllowed, Message: "this scope, resource or audience is not allowed by the configuration"}},
		{"too many targets", failure(refresher.Transient, refresher.CodeTooManyTargets), endpoints.Refusal{Reason: endpoints.NotReady, Code: refresher.CodeTooManyTargets, Message: "too many scopes, resources or audiences are in use at once"}},
		{"an error of no class", errors.New(quoted), endpoints.Refusal{Reason: endpoints.NotReady, Message: later}},
		{"the end of a context", context.DeadlineExceeded, endpoints.Refusal{Reason: endpoints.NotReady, Message: later}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := endpoints.Explain(test.err)
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("Explain(%v): (-want +got)\n%s", test.err, diff)
			}
			if strings.Contains(got.Error(), quoted) {
				t.Errorf("Explain(%v) tells the caller the cloud's words", test.err)
			}
		})
	}
}

func TestReasonStatus(t *testing.T) {
	want := map[endpoints.Reason]int{
		endpoints.BadRequest:    http.StatusBadRequest,
		endpoints.BadHost:       http.StatusForbidden,
		endpoints.Forwarded:     http.StatusForbidden,
		endpoints.Browser:       http.StatusForbidden,
		endpoints.NotFound:      http.StatusNotFound,
		endpoints.BadMethod:     http.StatusMethodNotAllowed,
		endpoints.Unauthorized:  http.StatusUnauthorized,
		endpoints.Forbidden:     http.StatusForbidden,
		endpoints.TooLarge:      http.StatusRequestEntityTooLarge,
		endpoints.TooManyFields: http.StatusRequestHeaderFieldsTooLarge,
		endpoints.NotAllowed:    http.StatusBadRequest,
		endpoints.NotReady:      http.StatusServiceUnavailable,
		endpoints.Denied:        http.StatusServiceUnavailable,
		endpoints.Internal:      http.StatusInternalServerError,
	}
	for reason, status := range want {
		if got := reason.Status(); got != status {
			t.Errorf("Reason(%d).Status() = %d, want %d", reason, got, status)
		}
	}
}
