package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
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
	if text, a.err = o.fetch(ctx); a.err != nil {
		return a
	}
	if a.fields, a.err = o.parse(text); a.err != nil {
		return a
	}
	a.whom, a.err = o.whom(a.fields)
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
// yet", or there is no file.
func early(err error) bool {
	refused, _ := errors.AsType[*refusal](err)
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) ||
		refused != nil && refused.status == http.StatusServiceUnavailable
}

const (
	maxAnswer  = 64 << 10
	askTimeout = 5 * time.Second
)

func (o outlet) fetch(ctx context.Context) ([]byte, error) {
	if o.file != "" {
		return os.ReadFile(o.file)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, nil)
	if err != nil {
		return nil, err
	}
	value, err := o.header.read()
	if err != nil {
		return nil, err
	}
	request.Header.Set(o.header.name, value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = &refusal{response.StatusCode, string(body)}
	}
	return body, err
}

// read gives the header's value. SDKs read the file for every request, too.
func (h header) read() (string, error) {
	if h.file == "" {
		return h.value, nil
	}
	text, err := os.ReadFile(h.file)
	return string(text), err
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

// settings reads the one section of a shared credentials file.
func settings(text []byte) (fields, error) {
	f := fields{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if name, value, found := strings.Cut(lines.Text(), " = "); found {
			f[name] = value
		}
	}
	return f, lines.Err()
}

// String is the request as a person would write it, its secret shortened.
func (o outlet) String() string {
	if o.file != "" {
		return "read " + o.file
	}
	value, _ := o.header.read()
	if o.header.secret() {
		value = shorten(value)
	}
	return fmt.Sprintf("GET %s  (%s: %s)", o.url, o.header.name, cmp.Or(value, "?"))
}

// secret says whether the header shows who asks, rather than that somebody means it.
func (h header) secret() bool { return h.name != "Metadata" && h.name != "Metadata-Flavor" }
