package cloudtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
)

// decodeSegment reads one part of a JWT: base64url without padding, of a JSON object.
func decodeSegment(segment string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, refuse(Malformed, "not a JWT")
	}
	return decodeObject(text)
}

// decodeObject reads one JSON object. Numbers stay as they are written.
func decodeObject(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, refuse(Malformed, "not a JSON object")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, refuse(Malformed, "more than a JSON object")
	}
	return object, nil
}
