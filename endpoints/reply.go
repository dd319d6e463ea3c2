package endpoints

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Media types. Several clients compare them as they are, so there is no charset parameter.
const (
	JSON = "application/json"
	Text = "text/plain"
)

// Reply writes a whole answer. Nothing that wisp says may be cached, sniffed or compressed.
func Reply(w http.ResponseWriter, status int, mediaType string, body []byte) {
	h := w.Header()
	// One array for all values instead of a slice for each: this runs for every answer.
	values := [...]string{mediaType, strconv.Itoa(len(body)), "no-store", "no-cache", "nosniff"}
	h["Content-Type"] = values[0:1:1]
	h["Content-Length"] = values[1:2:2]
	h["Cache-Control"] = values[2:3:3]
	h["Pragma"] = values[3:4:4]
	h["X-Content-Type-Options"] = values[4:5:5]
	if status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{"1"}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone if this fails, and there is nobody left to tell
}

// ReplyJSON writes v as a JSON document without a trailing newline. v must be of a type that always
// marshals: its author sees it fail in the first test.
func ReplyJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	Reply(w, status, JSON, body)
}
