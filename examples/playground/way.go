package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/endpoints/format"
)

// A way is how an application gets at what an outlet shows. Its String is what a person would write, its
// secret shortened.
type way interface {
	fetch(ctx context.Context) ([]byte, error)
	fmt.Stringer
}

const (
	maxAnswer  = 64 << 10
	askTimeout = 30 * time.Second
)

// A request is the way to an HTTP outlet: a GET, or a POST if there is a form to be sent.
type request struct {
	url    string
	header header
	form   string
}

func (q request) method() string {
	if q.form != "" {
		return http.MethodPost
	}
	return http.MethodGet
}

func (q request) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	value, err := q.header.read(ctx)
	if err != nil {
		return nil, err
	}
	return send(ctx, q.method(), q.url, q.header.name, value, q.form)
}

func (q request) String() string {
	line := fmt.Sprintf("%s %s  (%s)", q.method(), q.url, q.header)
	if q.form != "" {
		line += "  " + q.form
	}
	return line
}

// send sends a request with one header, and reads the answer.
func send(ctx context.Context, method, url, name, value, form string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	request.Header.Set(name, value)
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
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

// A header is the one that an outlet demands. Its value is words that anybody may know and, after them,
// at most one of the others.
type header struct {
	name    string
	words   string
	secret  string
	file    string // that holds a secret
	session string // URL that gives out a session token, as AWS's instance metadata service does
}

// read gives the header's value. SDKs read the file for every request, too.
func (h header) read(ctx context.Context) (string, error) {
	switch {
	case h.session != "":
		token, err := send(ctx, http.MethodPut, h.session, "X-aws-ec2-metadata-token-ttl-seconds", "60", "")
		return h.words + string(token), err
	case h.file != "":
		secret, err := os.ReadFile(h.file)
		return h.words + string(secret), err
	}
	return h.words + h.secret, nil
}

func (h header) String() string {
	secret := h.secret
	if h.file != "" {
		text, _ := os.ReadFile(h.file) // who asks is told what is wrong with it
		secret = cmp.Or(string(text), "?")
	}
	switch {
	case h.session != "":
		secret = "what PUT " + h.session + " answers"
	case secret != "":
		secret = shorten(secret)
	}
	return h.name + ": " + h.words + secret
}

// A reading is the way to a file outlet: its path.
type reading string

func (r reading) fetch(context.Context) ([]byte, error) { return os.ReadFile(string(r)) }
func (r reading) String() string                        { return "read " + string(r) }

// A question is the way to the admin socket, which wisp get takes.
type question struct{ socket, identity string }

// questionPatience is how long wisp may wait for a credential until it answers a question.
const questionPatience = time.Second

func (q question) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := admin.NewClient(q.socket).Credential(ctx, admin.Question{Identity: q.identity, Patience: questionPatience})
	if err != nil {
		return nil, err
	}
	return format.Formats["json"].Encode(c, format.Options{})
}

func (q question) String() string { return "wisp get " + q.identity + "  (by " + q.socket + ")" }
