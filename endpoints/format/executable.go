package format

import (
	"cmp"
	"fmt"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
)

// minExecutable is what a token has to live for to be handed out: the library has yet to exchange it.
const minExecutable = 30 * time.Second

// executable is what a program prints for Google's client libraries: a subject token, see package
// execsource. expiration_time is the token's own, rounded down, and always there: a library may keep
// the answer in a file. An error is a [*refresher.Error]; [ExecutableFailure] says it in the protocol.
func executable(c refresher.Credential, o Options) ([]byte, error) {
	bearer, err := shape[refresher.Bearer]("executable", c)
	if err != nil {
		return nil, err
	}
	if err := check(part{"token", bearer.Token.Reveal()}); err != nil {
		return nil, err
	}
	expires := c.Expires.Truncate(time.Second)
	if left := expires.Sub(o.now()); left < minExecutable {
		return nil, &refresher.Error{
			Class: refresher.SubjectToken,
			Code:  refresher.CodeSubjectExpired,
			Err:   fmt.Errorf("the subject token does not live for another %v", minExecutable),
		}
	}
	text, err := execsource.Response{Token: bearer.Token, TokenType: bearer.Type, Expires: expires}.Marshal()
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// ExecutableFailure is what a program prints for Google's client libraries if it has no token, on standard
// output; it then ends with an exit code other than 0. Libraries show both texts to people: the code of
// the error, "error" if it has none, and its whole message with the hint.
func ExecutableFailure(err error) []byte {
	e := refresher.AsError(err)
	message := err.Error()
	if e.Code != "" && e.Err != nil {
		message = e.Err.Error() // without the code, which has a place of its own
	}
	message = cmp.Or(message, "there is no token")
	if e.Hint != "" {
		message += "; " + e.Hint
	}
	text, _ := execsource.Response{Failure: &execsource.Failure{
		Code: cmp.Or(e.Code, "error"), Message: message,
	}}.Marshal() // fails only if one of the two is empty
	return append(text, '\n')
}
