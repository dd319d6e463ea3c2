package agent

import (
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/subject"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// Under these remaining lives the clients of a cloud start to refresh by themselves, and ask for a
// new credential at every call if there is none: botocore and the .NET SDK at 15 minutes, Google's
// and Azure's libraries at 5, to which a minute is added for the refresh itself.
const (
	floorAWS    = 15 * time.Minute
	floorGoogle = 6 * time.Minute
	floorEntra  = 6 * time.Minute
	// Other tokens often live for five minutes only, and nobody knows their clients.
	floorOAuth = time.Minute
)

// subjectExchange trades nothing: the credential is the subject token.
type subjectExchange struct{}

func (*subjectExchange) check(*upstream.Transport) []refresher.FieldError { return nil }
func (*subjectExchange) exchanger(surroundings) (refresher.Exchanger, error) {
	return subject.Exchanger{}, nil
}
func (*subjectExchange) takes(string) bool       { return true }
func (*subjectExchange) yields() shape           { return subjectToken }
func (*subjectExchange) floor() time.Duration    { return 0 }
func (*subjectExchange) lifetime() time.Duration { return 0 }
func (*subjectExchange) audiences() []string     { return nil }

// made turns a constructor's results into those of the registry's interfaces, where a nil pointer
// must not become an interface that is not nil.
func made[T refresher.Exchanger](x T, err error) (refresher.Exchanger, error) {
	if err != nil {
		return nil, err
	}
	return x, nil
}

func isJWT(tokenType string) bool {
	return tokenType == refresher.TypeJWT || tokenType == refresher.TypeIDToken
}
