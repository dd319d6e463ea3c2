package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
)

// maxAnswer bounds what is read: a status of many identities, or a credential.
const maxAnswer = 1 << 20

// An UnreachableError says that nobody answers at the socket.
type UnreachableError struct {
	Socket string
	Err    error
}

// Error says which socket, and why.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no wisp answers at %s: %v", e.Socket, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// A Client asks the wisp at a socket. It is safe for concurrent use.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the socket at path. It does not connect.
func NewClient(path string) *Client {
	return &Client{socket: path, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // one question is all that most programs have
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			conn, err := dialer.DialContext(ctx, "unix", path)
			if err != nil {
				if op, ok := errors.AsType[*net.OpError](err); ok {
					err = op.Err // without the path, which is told already
				}
				return nil, &UnreachableError{Socket: path, Err: err}
			}
			return conn, nil
		},
	}}}
}

// Status asks how wisp is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := c.ask(ctx, http.MethodGet, "/v1/status", nil)
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// Credential asks for a credential. Errors are an [*UnreachableError], [ErrUnknown], [ErrOther], a
// [*refresher.Error], or that of ctx.
func (c *Client) Credential(ctx context.Context, q Question) (refresher.Credential, error) {
	query := url.Values{"identity": {q.Identity}, "patience": {strconv.FormatInt(q.Patience.Milliseconds(), 10)}}
	for name, value := range map[string]string{
		"scope": q.Target.Scope, "audience": q.Target.Audience, "configuration": q.Configuration, "provider": q.Provider,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	body, err := c.ask(ctx, http.MethodGet, "/v1/credential", query)
	if err != nil {
		return refresher.Credential{}, err
	}
	return format.ParseJSON(body)
}

// Refresh asks for new credentials of one identity, or of all if the name is empty.
func (c *Client) Refresh(ctx context.Context, identity string) ([]Refreshed, error) {
	query := url.Values{}
	if identity != "" {
		query.Set("identity", identity)
	}
	var done []Refreshed
	body, err := c.ask(ctx, http.MethodPost, "/v1/refresh", query)
	if err == nil {
		err = json.Unmarshal(body, &done)
	}
	return done, err
}

// Quit asks wisp to end, gently. It has not ended yet when Quit returns.
func (c *Client) Quit(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodPost, "/v1/quit", nil)
	return err
}

func (c *Client) ask(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://wisp"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(r)
	if unreachable, ok := errors.AsType[*UnreachableError](err); ok {
		return nil, unreachable
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		// There are several errors for this, some of them net/http's own.
		return nil, &UnreachableError{Socket: c.socket, Err: errors.New(
			"it ends the connection without an answer, as it does for users whom it does not serve (admin.uids in its configuration)")}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &UnreachableError{Socket: c.socket, Err: err}
	}
	if response.StatusCode >= 300 {
		return nil, decodeFailure(response.StatusCode, body)
	}
	return body, nil
}

// Wait asks again and again until wisp has started, see [Status], or ctx ends. It returns the last status,
// and the last failure to get one.
func (c *Client) Wait(ctx context.Context) (Status, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last Status
	var failure error
	for {
		s, err := c.Status(ctx)
		switch {
		case err == nil && s.Started && s.Ready:
			return s, nil
		case err == nil:
			last, failure = s, nil
		case ctx.Err() == nil: // that time is up is no news of wisp
			failure = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if failure == nil {
				failure = ctx.Err()
			}
			return last, failure
		}
	}
}
