package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// Seconds is a number of seconds in the answer of a token service: a JSON number, or a string of one as
// some endpoints have it.
type Seconds float64

// UnmarshalJSON reads either form.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	var number float64
	if err := json.Unmarshal(bytes.Trim(text, `"`), &number); err != nil {
		return errors.New("not a number")
	}
	*s = Seconds(number)
	return nil
}

// Duration cuts s to whole seconds from 0 to a century: a Duration cannot hold three.
func (s Seconds) Duration() time.Duration {
	const century = 100 * 365 * 24 * time.Hour
	return time.Duration(max(0, min(float64(s), century.Seconds()))) * time.Second
}
