package source

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A Format says how a token sits in a document. The zero Format is a document that is the token.
// It is the choice that external_account files have under "format".
// Source: https://google.aip.dev/auth/4117
type Format struct {
	// JSONField, if not empty, is the member of a JSON object that holds the token, a string.
	// Names are compared exactly.
	JSONField string
}

// extract finds the token in text. Errors never quote text.
func (f Format) extract(text []byte) (refresher.Secret, error) {
	if f.JSONField == "" {
		return refresher.Secret(trim(text)), nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil {
		return "", errors.New("not a JSON object")
	}
	value, ok := object[f.JSONField]
	if !ok {
		return "", fmt.Errorf("the JSON object has no %q", f.JSONField)
	}
	var token *string
	if json.Unmarshal(value, &token) != nil || token == nil {
		return "", fmt.Errorf("%q in the JSON object is not a string", f.JSONField)
	}
	return refresher.Secret(trim([]byte(*token))), nil
}
