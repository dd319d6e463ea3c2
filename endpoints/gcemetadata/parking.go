package gcemetadata

import (
	"net/http"
	"strconv"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
)

const (
	// maxParked and maxPark bound what wait_for_change can hold.
	maxParked = 16
	maxPark   = 60 * time.Second
	// margin is the time to write an answer after the wait.
	margin = 10 * time.Second
)

// A parking holds the requests that wait for a change.
type parking chan struct{}

// wait serves wait_for_change=true. Nothing here ever changes, so it only passes the time that the
// client wants to wait: one that got its answer at once would come back at once. It does not wait if
// last_etag shows that the client knows something else, or if all places are taken.
//
// https://cloud.google.com/compute/docs/metadata/querying-metadata#waitforchange
func (p parking) wait(w http.ResponseWriter, r *http.Request, etag string) *endpoints.Refusal {
	query := r.URL.RawQuery
	if !isTrue(query, "wait_for_change") {
		return nil
	}
	patience := maxPark
	if text, ok := parameter(query, "timeout_sec"); ok {
		seconds, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return endpoints.Refuse(endpoints.BadRequest, "timeout_sec has to be a whole number of seconds")
		}
		patience = time.Duration(min(seconds, uint64(maxPark/time.Second))) * time.Second
	}
	if last, ok := parameter(query, "last_etag"); ok && last != etag {
		return nil
	}
	select {
	case p <- struct{}{}:
		defer func() { <-p }()
	default:
		return nil
	}

	// The server's own deadline is for answers that do not wait. Only a ResponseWriter that is no
	// connection refuses this one, and it has none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience + margin))

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	return nil
}
