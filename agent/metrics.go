package agent

import (
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/VictoriaMetrics/metrics"

	"github.com/wisp-sidecar/wisp/refresher"
)

// meters are the metrics of one agent. They are few: how long the credentials are still good, what
// became of each exchange, and who was told what. Labels hold names from the configuration only, never
// ARNs, e-mails or anything that a caller chose.
type meters struct {
	set   *metrics.Set
	reads sync.Map // readKey → *metrics.Counter, so that a read does not format a name
}

type readKey struct {
	outlet string
	status int
}

func newMeters(clock *refresher.Clock, version string) *meters {
	m := &meters{set: metrics.NewSet()}
	m.set.NewGauge(fmt.Sprintf("wisp_build_info{version=%q}", version), func() float64 { return 1 })
	m.set.NewGauge("wisp_clock_skew_seconds", func() float64 { return clock.Skew().Seconds() })
	return m
}

// identity adds the gauges of one identity.
func (m *meters) identity(i *refresher.Identity) {
	m.set.NewGauge(fmt.Sprintf("wisp_credential_validity_seconds{identity=%q}", i.Name()), func() float64 {
		return max(0, i.Status().Left.Seconds())
	})
	// Every class exists from the start: a rate over a counter that appears with its first failure
	// misses that failure.
	for class := refresher.Transient; class <= refresher.Denied; class++ {
		m.exchanges(i.Name(), class.String())
	}
	m.exchanges(i.Name(), "success")
}

func (m *meters) exchanges(identity, class string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("wisp_exchanges_total{identity=%q,class=%q}", identity, class))
}

// attempt counts one exchange.
func (m *meters) attempt(identity string, err *refresher.Error) {
	class := "success"
	if err != nil {
		class = err.Class.String()
	}
	m.exchanges(identity, class).Inc()
}

// answer counts one answer of an HTTP outlet; outlet is empty where the path was nobody's.
func (m *meters) answer(outlet string, status int) {
	key := readKey{outlet, status}
	counter, ok := m.reads.Load(key)
	if !ok {
		name := outlet
		if name == "" {
			name = "none"
		}
		counter, _ = m.reads.LoadOrStore(key,
			m.set.GetOrCreateCounter(fmt.Sprintf("wisp_reads_total{outlet=%q,status=%q}", name, strconv.Itoa(status))))
	}
	counter.(*metrics.Counter).Inc()
}

func (m *meters) write(w io.Writer) {
	m.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}
