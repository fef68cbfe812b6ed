package local

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts is what the store has done since it was opened.
type counts struct {
	syncs     atomic.Int64 // groups that one sync each made durable
	records   atomic.Int64 // in them
	written   atomic.Int64 // bytes of their content
	compacted atomic.Int64 // segments that compaction emptied
	moved     atomic.Int64 // bytes that it copied
	punched   atomic.Int64 // bytes of holes
	scrubbed  atomic.Int64 // bytes of segments that were read again
	damaged   atomic.Int64 // records that were found damaged then
}

// figures is what storeMetrics shows.
type figures struct {
	store    *Store
	segments int
	live     int64 // bytes of segments
	dead     int64 // bytes of segments that are not given back yet
	index    int64 // bytes
	free     int64 // bytes of the disk
	low      bool
}

func (s *Store) figures() figures {
	f := figures{store: s, index: int64(s.index.Metrics().DiskSpaceUsage())}
	f.free, f.low = s.space.look()
	for _, state := range s.index.States() {
		f.segments++
		f.live += max(state.Applied, state.End) - state.Dead
		f.dead += state.Dead - state.Punched
	}
	return f
}

// storeMetrics shows the store's own figures.
type storeMetrics struct{ store *Store }

// storeFigure is one metric without labels.
type storeFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*figures) int64
}

var storeFigures = []storeFigure{
	gauge("segments", "Segment files.", func(f *figures) int64 { return int64(f.segments) }),
	gauge("live_bytes", "Bytes in segments that something refers to.", func(f *figures) int64 { return f.live }),
	gauge("dead_bytes", "Bytes in segments that nothing refers to and that are not given back yet.", func(f *figures) int64 { return f.dead }),
	gauge("index_bytes", "Bytes of the index on disk.", func(f *figures) int64 { return f.index }),
	gauge("disk_free_bytes", "Bytes that the disk has free.", func(f *figures) int64 { return f.free }),
	gauge("disk_reserve_bytes", "Bytes kept free: writes are refused below.", func(f *figures) int64 { return f.store.space.reserve }),
	gauge("disk_full", "1 while writes are refused for want of room.", func(f *figures) int64 {
		if f.low {
			return 1
		}
		return 0
	}),
	counter("syncs_total", "Syncs, each of which makes a group of records durable.", func(c *counts) *atomic.Int64 { return &c.syncs }),
	counter("records_total", "Records made durable.", func(c *counts) *atomic.Int64 { return &c.records }),
	counter("written_bytes_total", "Bytes of records written, without what compaction copied.", func(c *counts) *atomic.Int64 { return &c.written }),
	counter("compacted_segments_total", "Segments whose content compaction moved elsewhere.", func(c *counts) *atomic.Int64 { return &c.compacted }),
	counter("compacted_bytes_total", "Bytes that compaction copied.", func(c *counts) *atomic.Int64 { return &c.moved }),
	counter("punched_bytes_total", "Bytes given back to the disk by holes in segments.", func(c *counts) *atomic.Int64 { return &c.punched }),
	counter("scrubbed_bytes_total", "Bytes of segments that were read again in search of damage.", func(c *counts) *atomic.Int64 { return &c.scrubbed }),
	counter("damaged_records_total", "Damaged records found by that.", func(c *counts) *atomic.Int64 { return &c.damaged }),
}

func gauge(name, help string, value func(*figures) int64) storeFigure {
	return storeFigure{prometheus.NewDesc("larder_store_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

func counter(name, help string, count func(*counts) *atomic.Int64) storeFigure {
	return storeFigure{
		prometheus.NewDesc("larder_store_"+name, help, nil, nil), prometheus.CounterValue,
		func(f *figures) int64 { return count(&f.store.counts).Load() },
	}
}

// Describe implements prometheus.Collector.
func (m storeMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, f := range storeFigures {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (m storeMetrics) Collect(out chan<- prometheus.Metric) {
	now := m.store.figures()
	for _, f := range storeFigures {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(f.value(&now)))
	}
}
