package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// An answer is what an outlet gave to one who asked.
type answer struct {
	outlet outlet
	fields fields
	whom   string // whom the cloud takes the bearer for
	err    error
}

// fields are what an outlet answered, by the outlet's own names.
type fields map[string]string

// A refusal is an answer of an HTTP outlet other than 200.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.status, http.StatusText(r.status), strings.TrimSpace(r.body))
}

// ask asks an outlet once, and the cloud for its opinion of the answer.
func (o outlet) ask(ctx context.Context) answer {
	a := answer{outlet: o}
	var text []byte
	if text, a.err = o.way.fetch(ctx); a.err != nil {
		return a
	}
	if a.fields, a.err = o.parse(text); a.err != nil {
		return a
	}
	a.whom, a.err = o.whom(ctx, a.fields)
	return a
}

// askPatiently is ask by a client that may be there before wisp: it comes back, until the deadline.
func (o outlet) askPatiently(ctx context.Context, deadline time.Time) answer {
	for {
		a := o.ask(ctx)
		if !early(a.err) || ctx.Err() != nil || time.Now().After(deadline) {
			return a
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// early says whether an error only means that wisp is not ready yet: nobody listens, the answer is "not
// yet", there is no file, or it takes its time. The metadata server says 404 of an ID token that takes longer than a request
// may, for clients in whose eyes nothing else is harmless.
func early(err error) bool {
	refused, _ := errors.AsType[*refusal](err)
	_, unready := errors.AsType[*refresher.Error](err) // the admin socket's way to say it
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, context.DeadlineExceeded) || unready ||
		refused != nil && (refused.status == http.StatusServiceUnavailable || refused.status == http.StatusNotFound)
}

// object reads a JSON object of strings and numbers.
func object(text []byte) (fields, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var members map[string]any
	if decoder.Decode(&members) != nil {
		return nil, errors.New("the answer is not a JSON object")
	}
	f := fields{}
	for name, value := range members {
		f[name] = fmt.Sprint(value)
	}
	return f, nil
}

// bare takes the whole answer for a token.
func bare(text []byte) (fields, error) { return fields{"token": string(text)}, nil }

// settings reads lines of name, separator and value: an AWS shared credentials file of one section, or
// a file of variables.
func settings(separator string) func([]byte) (fields, error) {
	return func(text []byte) (fields, error) {
		f := fields{}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			if name, value, found := strings.Cut(lines.Text(), separator); found {
				f[name] = value
			}
		}
		return f, lines.Err()
	}
}
