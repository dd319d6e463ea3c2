package upstream_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// retryAfter sends one request to a service that answers 503 with this header at this time.
func retryAfter(t *testing.T, header string, date time.Time) time.Duration {
	t.Helper()
	transport := newTransport(t, upstream.Options{Base: service(func(*http.Request) (*http.Response, error) {
		h := http.Header{"Retry-After": {header}}
		if !date.IsZero() {
			h.Set("Date", date.UTC().Format(http.TimeFormat))
		}
		return answer(503, h, strings.NewReader("")), nil
	})})
	_, facts, err := get(t, transport, cloud)
	if err != nil {
		t.Fatal(err)
	}
	return facts.RetryAfter
}

func TestRetryAfter(t *testing.T) {
	// The service's clock, years away from the local one.
	date := time.Date(2031, time.May, 4, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return date.Add(d).Format(http.TimeFormat) }
	tests := []struct {
		name   string
		header string
		want   time.Duration
	}{
		{"seconds", "7", 7 * time.Second},
		{"seconds with white space", " 7 ", 7 * time.Second},
		{"a date is compared with the service's clock", at(30 * time.Second), 30 * time.Second},
		{"an hour", "3600", time.Hour},
		{"a date in an hour", at(time.Hour), time.Hour},
		{"a day is still a wish", "86400", 24 * time.Hour},
		{"more than a day is a mistake", "86401", 0},
		{"a date in two days is a mistake", at(48 * time.Hour), 0},
		{"zero", "0", 0},
		{"negative", "-5", 0},
		{"a sign", "+5", 0},
		{"a fraction", "1.5", 0},
		{"a word", "soon", 0},
		{"a date in the past", at(-time.Minute), 0},
		{"an overflow", "99999999999999999999", 0},
		{"empty", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := retryAfter(t, tt.header, date); got != tt.want {
				t.Errorf("Retry-After %q = %v, want %v", tt.header, got, tt.want)
			}
		})
	}
}

func TestRetryAfterIsIgnoredOnSuccess(t *testing.T) {
	transport := newTransport(t, upstream.Options{Base: service(func(*http.Request) (*http.Response, error) {
		return answer(200, http.Header{"Retry-After": {"7"}}, strings.NewReader("")), nil
	})})
	if _, facts, _ := get(t, transport, cloud); facts.RetryAfter != 0 {
		t.Errorf("RetryAfter = %v, want 0", facts.RetryAfter)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, header := range []string{"7", "-1", "1e9", "Sun, 04 May 2031 12:00:30 GMT", "Sunday, 04-May-31 12:00:30 GMT", "18446744073709551616"} {
		f.Add(header, int64(1935662400))
	}
	f.Fuzz(func(t *testing.T, header string, unix int64) {
		date := time.Unix(unix%253402300800, 0)
		if got := retryAfter(t, header, date); got < 0 || got > 24*time.Hour {
			t.Errorf("Retry-After %q = %v, want 0 to 24h", header, got)
		}
	})
}
