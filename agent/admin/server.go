package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
)

// maxPatience bounds how long a question for a credential may wait.
const maxPatience = time.Minute

var (
	// ErrUnknown: there is no identity of that name.
	ErrUnknown = errors.New("there is no such identity")
	// ErrOther: this wisp runs with another configuration than the asker was given.
	ErrOther = errors.New("the running wisp has another configuration")
)

// Serve answers on l, which [Listen] returned, until ctx ends; it closes l. log gets what the HTTP
// server complains about.
func Serve(ctx context.Context, l net.Listener, b Backend, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler(b),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      maxPatience + 5*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
	return endpoints.Serve(ctx, server, l)
}

// handler has the paths. ServeMux is good enough for clients that are all our own.
func handler(b Backend) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		endpoints.ReplyJSON(w, http.StatusOK, b.Status())
	})
	mux.HandleFunc("GET /v1/credential", func(w http.ResponseWriter, r *http.Request) { credential(w, r, b) })
	mux.HandleFunc("POST /v1/refresh", func(w http.ResponseWriter, r *http.Request) {
		done, err := b.Refresh(r.URL.Query().Get("identity"))
		if err != nil {
			refuse(w, err)
			return
		}
		endpoints.ReplyJSON(w, http.StatusOK, done)
	})
	mux.HandleFunc("POST /v1/quit", func(w http.ResponseWriter, _ *http.Request) {
		endpoints.ReplyJSON(w, http.StatusAccepted, struct{}{})
		_ = http.NewResponseController(w).Flush() // this server may be gone before the handler has returned
		b.Quit()
	})
	return mux
}

func credential(w http.ResponseWriter, r *http.Request, b Backend) {
	query := r.URL.Query()
	milliseconds, _ := strconv.ParseInt(query.Get("patience"), 10, 64)
	patience := min(maxPatience, max(0, time.Duration(milliseconds)*time.Millisecond))
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	c, err := b.Credential(ctx, Question{
		Identity:      query.Get("identity"),
		Target:        refresher.Target{Scope: query.Get("scope"), Audience: query.Get("audience")},
		Configuration: query.Get("configuration"),
		Provider:      query.Get("provider"),
	})
	if err != nil {
		refuse(w, err)
		return
	}
	body, err := format.Formats["json"].Encode(c, format.Options{})
	if err != nil {
		refuse(w, err)
		return
	}
	endpoints.Reply(w, http.StatusOK, endpoints.JSON, body)
}

// refuse says why not. Of what a cloud has said only the code is passed on.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrUnknown):
		endpoints.ReplyJSON(w, http.StatusNotFound, Failure{Message: err.Error()})
	case errors.Is(err, ErrOther):
		endpoints.ReplyJSON(w, http.StatusConflict, Failure{Message: err.Error()})
	default:
		e := refresher.AsError(err)
		refusal := endpoints.Explain(err)
		endpoints.ReplyJSON(w, refusal.Reason.Status(), Failure{
			Class: e.Class.String(), Code: e.Code, Hint: e.Hint, Message: refusal.Message,
		})
	}
}

// decodeFailure is the other end of refuse.
func decodeFailure(status int, body []byte) error {
	var f Failure
	if err := json.Unmarshal(body, &f); err != nil || f.Message == "" {
		return errors.New("the answer " + strconv.Itoa(status) + " of the admin socket is not one of wisp")
	}
	switch status {
	case http.StatusNotFound:
		return ErrUnknown
	case http.StatusConflict:
		return ErrOther
	}
	e := &refresher.Error{Code: f.Code, Hint: f.Hint, Err: errors.New(f.Message)}
	for class := refresher.Transient; class <= refresher.Denied; class++ {
		if class.String() == f.Class {
			e.Class = class
		}
	}
	return e
}
