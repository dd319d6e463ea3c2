package refresher_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
)

func TestAsError(t *testing.T) {
	refused := &refresher.Error{Class: refresher.Denied, Code: "AccessDenied"}
	for _, c := range []struct {
		name string
		err  error
		want *refresher.Error
	}{
		{"nil", nil, nil},
		{"itself", refused, refused},
		{"wrapped", fmt.Errorf("identity: %w", refused), refused},
		{"joined", errors.Join(io.EOF, refused), refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := refresher.AsError(c.err); got != c.want {
				t.Errorf("AsError(%v) = %v, want %v", c.err, got, c.want)
			}
		})
	}
}

func TestAnyOtherErrorIsTransient(t *testing.T) {
	got := refresher.AsError(io.ErrUnexpectedEOF)
	if got.Class != refresher.Transient || !errors.Is(got, io.ErrUnexpectedEOF) {
		t.Errorf("AsError(%v) = %#v, want it wrapped as transient", io.ErrUnexpectedEOF, got)
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*refresher.Error{
		"InvalidIdentityToken: wrong audience": {Code: "InvalidIdentityToken", Err: errors.New("wrong audience"), Hint: "set it"},
		"panic":                                {Code: "panic"},
		"unexpected EOF":                       {Err: io.ErrUnexpectedEOF},
		"throttled":                            {Class: refresher.Throttled},
	} {
		if got := e.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
	}
}

func TestClassNames(t *testing.T) {
	for class, want := range map[refresher.Class]string{
		refresher.Transient: "transient", refresher.Throttled: "throttled", refresher.SubjectToken: "subject_token",
		refresher.Settling: "settling", refresher.Denied: "denied", refresher.Class(99): "unknown",
	} {
		if got := class.String(); got != want {
			t.Errorf("Class(%d).String() = %q, want %q", int(class), got, want)
		}
	}
}

func TestFieldError(t *testing.T) {
	e := refresher.FieldError{Field: "roleArn", Problem: "is not an ARN"}
	if got, want := e.Error(), "roleArn: is not an ARN"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
