package app

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

// observer turns requests that ended into access lines and metrics.
type observer struct {
	access  *accessLog // nil without an access log
	metrics *requestMetrics
}

func (o *observer) observe(e edge.Event) {
	o.metrics.count(&e)
	if o.access != nil {
		o.access.write(&e)
	}
}

// requestMetrics are the metrics of requests. Labels come from closed sets:
// operations, status classes, and buckets that exist.
type requestMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	lookups  *prometheus.CounterVec

	series sync.Map // series key → *series: a look-up by labels costs more than the count
}

type seriesKey struct {
	op     string
	status string
}

type series struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
	in, out  prometheus.Counter
}

func newRequestMetrics(registry prometheus.Registerer) (*requestMetrics, error) {
	m := &requestMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_requests_total", Help: "Requests by operation and class of status.",
		}, []string{"op", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "larder_request_seconds", Help: "Time from a request's headers to the end of its answer.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"op"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_request_bytes_total", Help: "Bytes of bodies by operation and direction.",
		}, []string{"op", "direction"}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_lookups_total", Help: "Reads of objects that were there (hit) or not (miss), by bucket.",
		}, []string{"bucket", "result"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.bytes, m.lookups} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *requestMetrics) count(e *edge.Event) {
	s := m.of(seriesKey{operation(e), statusClass(e.Status)})
	s.requests.Inc()
	s.seconds.Observe(e.Duration.Seconds())
	s.in.Add(float64(e.BytesIn))
	s.out.Add(float64(e.BytesOut))
	switch e.Lookup {
	case edge.Hit:
		m.lookups.WithLabelValues(e.Bucket, "hit").Inc()
	case edge.Miss:
		m.lookups.WithLabelValues(e.Bucket, "miss").Inc()
	case edge.NoLookup:
	}
}

func (m *requestMetrics) of(key seriesKey) *series {
	if found, ok := m.series.Load(key); ok {
		return found.(*series) //nolint:forcetypeassert,errcheck // nothing else is stored
	}
	made, _ := m.series.LoadOrStore(key, &series{
		requests: m.requests.WithLabelValues(key.op, key.status),
		seconds:  m.seconds.WithLabelValues(key.op),
		in:       m.bytes.WithLabelValues(key.op, "in"),
		out:      m.bytes.WithLabelValues(key.op, "out"),
	})
	return made.(*series) //nolint:forcetypeassert,errcheck // nothing else is stored
}

func operation(e *edge.Event) string {
	if e.Op == "" {
		return "none"
	}
	return e.Op
}

func statusClass(status int) string {
	switch {
	case status < 300:
		return "2xx"
	case status < 400:
		return "3xx"
	case status < 500:
		return "4xx"
	}
	return "5xx"
}
