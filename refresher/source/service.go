package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A service is somebody that a source asks for a token over HTTP. It never follows a redirect, and
// reads no more than maxToken bytes.
type service struct {
	client *http.Client // of a Transport made Local
	name   string       // in errors, such as "GitHub's token service"
	// genuine, if not nil, tells by the header of an answer whether the service itself has written it.
	genuine func(http.Header) bool
	// explain, if not nil, corrects class, code and hint of a refusal, which have been made from the
	// status alone. body is what came with it, at most 256 KiB; it is raw.
	explain func(status int, body []byte, e *refresher.Error)
	absent  string // hint if nobody answers
	alien   string // hint if somebody else answers, or without a token
}

// A question is what a source asks a service each time. The request, which holds secrets, is behind a
// pointer so that printing a source does not show it.
type question struct {
	service
	request   *http.Request // without a context
	format    Format
	tokenType string
}

// token asks, and checks the form of the token in the answer.
func (q *question) token(ctx context.Context) (refresher.Token, error) {
	body, failure := q.send(q.request.WithContext(ctx))
	if failure != nil {
		return refresher.Token{}, failure
	}
	token, _, err := q.format.token(body, q.tokenType)
	if err != nil {
		e := noToken(fmt.Errorf("%s: the answer of %s: %w", q.name, q.request.URL.Host, err))
		e.Hint = q.alien
		return refresher.Token{}, e
	}
	return token, nil
}

// send returns the body of a 2xx. The exchange that the token is for has an Attempt that describes the
// conversation with the cloud, so this conversation gets its own: above all, the clock of somebody on
// this machine, who has the same one, must not pass for a confirmation of it. Of a failure the outer
// Attempt learns when to come back, and what to tell support.
func (s service) send(req *http.Request) ([]byte, *refresher.Error) {
	outer := refresher.AttemptFrom(req.Context())
	own := new(refresher.Attempt)
	ctx := refresher.WithAttempt(req.Context(), own)
	body, err := s.exchange(ctx, req.WithContext(ctx))
	if err == nil {
		return body, nil
	}
	facts := own.Data()
	outer.Record(func(d *refresher.AttemptData) {
		d.RetryAfter, d.RequestID = facts.RetryAfter, facts.RequestID
	})
	err.Err = fmt.Errorf("%s: %w", s.name, err.Err)
	return nil, err
}

// exchange returns the body of a 2xx, or an error whose text names the host.
func (s service) exchange(ctx context.Context, req *http.Request) ([]byte, *refresher.Error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, s.unanswered(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if e := s.refused(ctx, resp); e != nil {
		e.Err = fmt.Errorf("%s: %w", req.URL.Host, e.Err)
		return nil, e
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxToken+1))
	if err != nil {
		return nil, s.unanswered(&url.Error{Op: req.Method, URL: req.URL.String(), Err: err})
	}
	if len(body) > maxToken {
		e := noToken(fmt.Errorf("the answer of %s: longer than %d bytes", req.URL.Host, maxToken))
		e.Hint = s.alien
		return nil, e
	}
	return body, nil
}

func (s service) unanswered(err error) *refresher.Error {
	e := upstream.NetworkError(err)
	if e.Class == refresher.Transient {
		e.Hint = cmp.Or(s.absent, e.Hint)
	}
	return e
}

// refused makes a failure of an answer that is no success, or not the service's own.
func (s service) refused(ctx context.Context, resp *http.Response) *refresher.Error {
	success := resp.StatusCode/100 == 2
	if s.genuine != nil && !s.genuine(resp.Header) {
		e := upstream.StatusError(ctx, upstream.Reply{})
		if success {
			e.Code = refresher.CodeForeignResponse
			e.Err = errors.New("somebody else answers in its place")
		}
		e.Hint = s.alien
		return e
	}
	if success {
		return nil
	}
	e := upstream.StatusError(ctx, upstream.Reply{Code: refresher.CodeSubjectMissing})
	if resp.StatusCode/100 == 3 {
		e.Hint = s.alien // no redirect is followed: it would carry the request's secrets elsewhere
	}
	if s.explain != nil {
		s.explain(resp.StatusCode, refresher.AttemptFrom(ctx).Data().Body, e)
	}
	return e
}

// answered makes a failure of what is wrong with an answer's content.
func (s service) answered(err error) *refresher.Error {
	return noToken(fmt.Errorf("%s: the answer: %w", s.name, err))
}

// quote adds to a refusal what the service says about it, which is raw, without the known secrets.
func quote(e *refresher.Error, message string, known ...refresher.Secret) {
	if message = upstream.Clean(message, known...); message != "" {
		e.Err = fmt.Errorf("%w: %s", e.Err, message)
	}
}

// noToken is the failure of a source that has got something, but no token.
func noToken(err error) *refresher.Error {
	return &refresher.Error{Class: refresher.SubjectToken, Code: refresher.CodeSubjectInvalid, Err: err}
}

// usable joins what a source's Check has found. A Transport is not a setting: only who makes the source must
// give one.
func usable(problems []refresher.FieldError, t *upstream.Transport) error {
	if err := refresher.JoinFieldErrors(problems); err != nil {
		return err
	}
	if t == nil {
		return errors.New("a Transport is required")
	}
	return nil
}

// client is how sources send: see [upstream.Transport.Local].
func client(t *upstream.Transport) *http.Client { return t.Local().Client() }

// checkURL parses the URL of a service. t may be nil. Errors do not repeat the URL.
func checkURL(t *upstream.Transport, raw string) (*url.URL, error) {
	// url.Parse takes a space, and net/http would write it into the request line.
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the URL has a character that must be percent-encoded, such as a space")
	}
	return cmp.Or(t, new(upstream.Transport)).Local().CheckURL(raw)
}

// checkEndpoint parses the URL of a service that has its own paths and queries.
func checkEndpoint(t *upstream.Transport, raw string) (*url.URL, error) {
	u, err := checkURL(t, raw)
	if err != nil {
		return nil, err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return nil, errors.New("an endpoint has no query")
	}
	u.Path = cmp.Or(u.Path, "/") // or JoinPath makes relative paths of it
	return u, nil
}
