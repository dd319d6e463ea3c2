package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What reviews may cost. To work on one takes some thirty times its size of memory, so that what counts is the bytes of all
// reviews that are worked on at once.
const (
	maxBody     = 3 << 20 // of one: as much as the API server accepts for an object
	maxBodies   = 4 << 20 // of all; a usual one has five thousand
	maxSentence = 4000    // characters of what is told: a list of problems has no end of its own
	maxPatch    = 3 << 20 // of a patch: the API server takes no larger Pod

	// A container is a few bytes, and what it gets a few thousand.
	maxContainers = 1000
	maxName       = 253 // characters of a container's: each warning has it
)

// The API server says in the query how long it waits. Both are what a webhook's configuration may have at most, and has by default.
const (
	maxPatience     = 30 * time.Second
	defaultPatience = 10 * time.Second
)

// handlerOptions configure the handler of reviews. All are required.
type handlerOptions struct {
	// Admit answers one request. A *malformedError is answered with 400, every other error with 500.
	Admit       func(context.Context, *admissionv1.AdmissionRequest) (response *admissionv1.AdmissionResponse, result string, err error)
	MaxInFlight int
	Draining    func() bool // whether connections are to be given up
	Log         *slog.Logger
	Meters      *meters
}

// A handler answers reviews over HTTP.
type handler struct {
	handlerOptions
	reviews *semaphore.Weighted // places for reviews
	bodies  *semaphore.Weighted // and for their bytes
}

// newHandler returns the handler of POST /inject.
func newHandler(o handlerOptions) http.Handler {
	h := &handler{
		handlerOptions: o,
		reviews:        semaphore.NewWeighted(int64(o.MaxInFlight)),
		bodies:         semaphore.NewWeighted(maxBodies),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /inject", h.serve)
	return mux
}

// An httpError is an answer that is no review.
type httpError struct {
	status int
	error
}

func (e *httpError) Unwrap() error { return e.error }

// serve answers one review, or says in a sentence why it does not: then the API server goes by its failurePolicy.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	text, result, err := h.answer(w, r)
	h.Meters.admission(result, time.Since(begin))
	if h.Draining() {
		// So that the next review goes to another replica. To close what is idle would lose the reviews that are just being sent.
		w.Header().Set("Connection", "close")
	}
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // nobody is left to tell
		return
	}
	status := http.StatusInternalServerError
	if e, ok := errors.AsType[*httpError](err); ok {
		status = e.status
	} else if errors.As(err, new(*malformedError)) {
		status = http.StatusBadRequest
	}
	sentence := cut(strings.ReplaceAll(err.Error(), "\n", "; "), maxSentence)
	h.Log.Warn("review not answered", "status", status, "err", sentence)
	http.Error(w, sentence, status)
}

// answer returns the text of the answer, what became of the review, and why there is none.
func (h *handler) answer(w http.ResponseWriter, r *http.Request) (text []byte, result string, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error("panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			text, result, err = nil, failed, errors.New("wisp-webhook has a bug: its log has more")
		}
	}()
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, failed, &httpError{http.StatusUnsupportedMediaType, errors.New("the Content-Type is not application/json")}
	}
	tooLarge := &httpError{http.StatusRequestEntityTooLarge, fmt.Errorf("the body has more than %d bytes", maxBody)}
	if r.ContentLength > maxBody {
		return nil, failed, tooLarge
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience(r.URL.Query().Get("timeout")))
	defer cancel()
	// A place is taken before the body is read: bodies are what costs memory.
	size := r.ContentLength
	if size < 0 {
		size = maxBody
	}
	tooMany := &httpError{http.StatusServiceUnavailable, errors.New("too many reviews at once")}
	if h.reviews.Acquire(ctx, 1) != nil {
		return nil, failed, tooMany
	}
	defer h.reviews.Release(1)
	if h.bodies.Acquire(ctx, size) != nil {
		return nil, failed, tooMany
	}
	defer h.bodies.Release(size)
	// The time to send the body begins now: it has been waiting with us. What cannot have a deadline is a test's.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, failed, tooLarge
	}
	if err != nil {
		return nil, failed, &malformedError{fmt.Errorf("read the body: %w", err)}
	}
	request, err := decodeReview(body)
	if err != nil {
		return nil, failed, &malformedError{err}
	}
	response, result, err := h.Admit(ctx, request)
	if err != nil {
		return nil, failed, err
	}
	text, err = json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: response,
	})
	if err != nil {
		return nil, failed, fmt.Errorf("encode the answer: %w", err)
	}
	return text, result, nil
}

// patience is how long a review may take if the API server waits for timeout, a Go duration: a little less, since an
// answer that says what is wrong is better than none.
func patience(timeout string) time.Duration {
	d, err := time.ParseDuration(timeout)
	if err != nil || d <= 0 {
		d = defaultPatience
	}
	return min(d, maxPatience) * 9 / 10
}
