// Package subject is the exchange that trades nothing: it hands out the subject token itself, for
// outlets that pass it on to somebody who does the exchange on their own.
package subject

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// An Exchanger is a [refresher.Exchanger] that returns the token as a [refresher.Bearer] with the
// token's own type and expiry. The zero value is ready to use.
type Exchanger struct{}

// Exchange never leaves the process. It refuses tokens that do not say when they expire, SAML
// assertions without a NotOnOrAfter, say: whoever is served from a cache must be told until when,
// and there is nothing to invent it from. Targets other than the zero one are refused, because the
// token is what it is.
func (Exchanger) Exchange(_ context.Context, subject refresher.Token, target refresher.Target) (refresher.Credential, error) {
	switch {
	case target != refresher.Target{}:
		return refresher.Credential{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  refresher.CodeTargetNotAllowed,
			Err:   errors.New("a subject token has its own audience: no other can be asked for"),
		}
	case subject.Expires.IsZero():
		return refresher.Credential{}, &refresher.Error{
			Class: refresher.SubjectToken,
			Code:  refresher.CodeSubjectInvalid,
			Err:   errors.New("the subject token does not say when it expires, so it cannot be handed out"),
		}
	case !subject.Expires.After(time.Now()):
		return refresher.Credential{}, &refresher.Error{
			Class: refresher.SubjectToken,
			Code:  refresher.CodeSubjectExpired,
			Err:   fmt.Errorf("the subject token expired at %s", subject.Expires.UTC().Format(time.RFC3339)),
		}
	}
	return refresher.Credential{
		Value:   refresher.Bearer{Token: subject.Raw, Type: subject.Type},
		Expires: subject.Expires,
	}, nil
}
