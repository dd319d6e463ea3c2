// Package admin is how the programs of one Pod talk to the wisp that runs there: HTTP/1.1 with JSON over
// a Unix socket, of which the kernel says who is at the other end. It shows the state of the identities,
// asks for new credentials, ends wisp, and hands credentials to wisp's own one-shot commands, so that
// fifty runs of them cause no exchange at all.
//
//	GET  /v1/status                                          Status
//	GET  /v1/credential?identity=&scope=&audience=&…         a credential, see [Question]
//	POST /v1/refresh?identity=                               []Refreshed; without identity for all
//	POST /v1/quit                                            nothing
//
// Failures have a status of 4xx or 5xx and an object with "message" and, of an exchange, "class", "code"
// and "hint": wisp's own words, never a cloud's, which may quote what was sent.
package admin

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// EnvSocket is the environment variable that tells programs where to ask. Where a wisp listens, its
// configuration says: it may run with the environment of an application that asks another one.
const EnvSocket = "WISP_ADMIN_SOCKET"

// SocketName is the name of the socket in its directory, unless somebody says otherwise.
const SocketName = "admin.sock"

const podDirectory = "/run/wisp"

// DefaultSocket is where the socket is if nobody says otherwise: in /run/wisp if there is such a
// directory, as there is in a Pod that mounts a volume for it, else below XDG_RUNTIME_DIR. Empty: nowhere.
func DefaultSocket(getenv func(string) string) string { return defaultSocket(podDirectory, getenv) }

func defaultSocket(podDirectory string, getenv func(string) string) string {
	if info, err := os.Stat(podDirectory); err == nil && info.IsDir() {
		return filepath.Join(podDirectory, SocketName)
	}
	if home := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(home) {
		return filepath.Join(home, "wisp", SocketName)
	}
	return ""
}

// A Question asks for a credential.
type Question struct {
	Identity string
	Target   refresher.Target
	// Configuration is the digest of the document that the asker was given, empty if it was given none.
	// A wisp with another document knows other identities by the same names, so it does not answer.
	Configuration string
	// Provider is the audience that a Google library has told its executable to get a token for. Empty if
	// no library asks.
	Provider string
	// Patience is how long to wait for the first credential; at most a minute.
	Patience time.Duration
}

// A Backend is the running wisp. All methods are safe for concurrent use.
type Backend interface {
	Status() Status
	// Credential waits until there is one or ctx ends. Besides the [*refresher.Error] of an exchange it
	// returns [ErrUnknown] and [ErrOther].
	Credential(ctx context.Context, q Question) (refresher.Credential, error)
	// Refresh asks for new credentials of one identity, or of all if the name is empty. It returns
	// [ErrUnknown] if there is no such identity.
	Refresh(identity string) ([]Refreshed, error)
	Quit()
}

// Status says how wisp is doing.
type Status struct {
	Version string `json:"version"`
	// Started: every required identity has had a credential, and every file of one was written.
	Started bool `json:"started"`
	// Ready: every required identity has a usable credential now.
	Ready      bool       `json:"ready"`
	Identities []Identity `json:"identities"`
	Outlets    []Outlet   `json:"outlets"`
}

// Identity is the state of one identity's default credential.
type Identity struct {
	Name     string `json:"name"`
	Yields   string `json:"yields"`
	Required bool   `json:"required"`
	State    string `json:"state"` // cold, fresh, stale …
	Usable   bool   `json:"usable"`
	// ExpiresIn and NextAttemptIn are in seconds from now; the first is 0 without a credential, the second
	// negative if the attempt is overdue.
	ExpiresIn     int64    `json:"expiresIn"`
	NextAttemptIn int64    `json:"nextAttemptIn"`
	Failure       *Failure `json:"failure,omitempty"` // of the last attempt, if none has succeeded since
}

// A Failure is why an exchange did not succeed.
type Failure struct {
	Class   string `json:"class,omitempty"` // transient, throttled, subject_token, settling, denied
	Code    string `json:"code,omitempty"`  // the cloud's own, or the engine's
	Hint    string `json:"hint,omitempty"`  // what the reader can do about it
	Message string `json:"message"`
}

// Outlet is one way in which credentials are shown.
type Outlet struct {
	Kind       string   `json:"kind"`
	Identities []string `json:"identities"`
	Where      string   `json:"where"`             // a URL or a path
	Written    *bool    `json:"written,omitempty"` // of a file: it was written once
	Failure    string   `json:"failure,omitempty"` // of a file: why it is not as it should be
}

// Refreshed says what became of a request for a new credential.
type Refreshed struct {
	Identity string `json:"identity"`
	// Accepted: one is on its way. Otherwise the last attempt began less than ten seconds ago.
	Accepted bool `json:"accepted"`
}
