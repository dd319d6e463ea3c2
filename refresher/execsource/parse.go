package execsource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// Parse reads the one document that text has to be. Names are compared exactly, what is not known is
// ignored, of a repeated name the last one counts, and null is as good as absent. Whether the token is
// one, and still good, is not looked at. Errors never quote text.
func Parse(text []byte) (Response, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return Response{}, errors.New("empty")
	}
	var members object
	if json.Unmarshal(text, &members) != nil || members == nil {
		return Response{}, errors.New("not one JSON object and nothing else")
	}
	known, err := member[int64](members, "version", "a whole number")
	if err != nil {
		return Response{}, err
	}
	if known != version {
		return Response{}, fmt.Errorf("version is not %d, the only one there is", version)
	}
	success, err := member[bool](members, "success", "true or false")
	if err != nil {
		return Response{}, err
	}
	if !success {
		return members.failure()
	}
	return members.token()
}

// An object is a JSON object, its members not yet decoded.
type object map[string]json.RawMessage

func (o object) failure() (Response, error) {
	code, err := o.text("code")
	if err != nil {
		return Response{}, err
	}
	message, err := o.text("message")
	if err != nil {
		return Response{}, err
	}
	return Response{Failure: &Failure{Code: code, Message: message}}, nil
}

func (o object) token() (Response, error) {
	tokenType, err := o.text("token_type")
	if err != nil {
		return Response{}, err
	}
	field := tokenField(tokenType)
	if field == "" {
		return Response{}, fmt.Errorf("token_type is not one of %s, %s, %s", refresher.TypeJWT, refresher.TypeIDToken, refresher.TypeSAML2)
	}
	token, err := o.text(field)
	if err != nil {
		return Response{}, fmt.Errorf("%w: it holds the tokens of this token_type", err)
	}
	r := Response{Token: refresher.Secret(token), TokenType: tokenType}
	if !o.has("expiration_time") {
		return r, nil
	}
	seconds, err := member[int64](o, "expiration_time", "a whole number")
	if err != nil {
		return Response{}, err
	}
	if seconds <= 0 || seconds > maxTime {
		return Response{}, errors.New("expiration_time is not a time between 1970 and 9999 in seconds")
	}
	r.Expires = time.Unix(seconds, 0)
	return r, nil
}

func (o object) has(name string) bool {
	value, ok := o[name]
	return ok && string(value) != "null"
}

// text returns the member of this name, which has to be a string that is not empty.
func (o object) text(name string) (string, error) {
	text, err := member[string](o, name, "a string")
	if err == nil && text == "" {
		err = fmt.Errorf("%s is empty", name)
	}
	return text, err
}

// member decodes the member of this name, which has to be there; want says in words what T is.
func member[T any](o object, name, want string) (T, error) {
	var value T
	if !o.has(name) {
		return value, fmt.Errorf("%s is missing", name)
	}
	if json.Unmarshal(o[name], &value) != nil {
		return *new(T), fmt.Errorf("%s is not %s", name, want)
	}
	return value, nil
}
