package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// meters are the webhook's metrics. Labels are words of ours only, never what somebody sent.
type meters struct {
	set      *metrics.Set
	buckets  []*metrics.Counter // of durationBuckets, and at last the one without an end
	duration *metrics.FloatCounter
	count    *metrics.Counter
}

// durationBuckets end at these seconds. From the cache a review takes less than a millisecond; the API server waits for 30 s
// at most.
var durationBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

func newMeters() *meters {
	m := &meters{set: metrics.NewSet()}
	m.set.NewGauge(fmt.Sprintf("wisp_webhook_build_info{version=%q}", version), func() float64 { return 1 })
	// Every counter exists from the start: a rate over one that appears with its first event misses that event.
	for _, result := range []string{injected, unchanged, refused, failed} {
		m.admissions(result)
	}
	for _, result := range []string{"success", "failure"} {
		m.reloads(result)
	}
	for _, resource := range []string{accounts.Resource, namespaces.Resource} {
		m.liveGets(resource)
		m.watchErrors(resource)
	}
	// The library's own histograms are of a kind that only one system understands.
	const name = "wisp_webhook_admission_duration_seconds"
	for _, end := range durationBuckets {
		m.buckets = append(m.buckets, m.set.NewCounter(fmt.Sprintf("%s_bucket{le=%q}", name, strconv.FormatFloat(end, 'g', -1, 64))))
	}
	m.buckets = append(m.buckets, m.set.NewCounter(name+`_bucket{le="+Inf"}`))
	m.duration, m.count = m.set.NewFloatCounter(name+"_sum"), m.set.NewCounter(name+"_count")
	return m
}

// gauges adds what is asked for when metrics are read.
func (m *meters) gauges(p *keyPair, d *directory) {
	m.set.NewGauge("wisp_webhook_certificate_expiry_timestamp_seconds", func() float64 {
		certificate, err := p.current()
		if err != nil {
			return 0
		}
		return float64(certificate.Leaf.NotAfter.Unix())
	})
	for _, mirror := range []*mirror{d.accounts, d.namespaces} {
		m.set.NewGauge(fmt.Sprintf("wisp_webhook_cached_objects{resource=%q}", mirror.resource.Resource), func() float64 {
			return float64(len(mirror.informer.GetStore().ListKeys()))
		})
	}
}

func (m *meters) admissions(result string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("wisp_webhook_admissions_total{result=%q}", result))
}

func (m *meters) reloads(result string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("wisp_webhook_certificate_reloads_total{result=%q}", result))
}

func (m *meters) liveGets(resource string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("wisp_webhook_live_gets_total{resource=%q}", resource))
}

func (m *meters) watchErrors(resource string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("wisp_webhook_watch_errors_total{resource=%q}", resource))
}

// admission counts one review.
func (m *meters) admission(result string, took time.Duration) {
	m.admissions(result).Inc()
	for n, counter := range m.buckets {
		if n == len(durationBuckets) || took.Seconds() <= durationBuckets[n] {
			counter.Inc()
		}
	}
	m.duration.Add(took.Seconds())
	m.count.Inc()
}

func (m *meters) write(w io.Writer) {
	m.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}
