package local

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-cache/larder/internal/fault"
)

// Ready says why reads are not served; nil if they are. It answers from memory.
func (s *Store) Ready() error { return nil }

// Writable says why writes are refused now; nil if they are not. It answers from
// memory.
func (s *Store) Writable() error {
	if err := s.segs.Failed(); err != nil {
		return err
	}
	if s.space.low() {
		return fault.New(fault.Full, fault.Disk, "")
	}
	return nil
}

// Collectors returns the store's metrics.
func (s *Store) Collectors() []prometheus.Collector {
	return []prometheus.Collector{bucketMetrics{s}, storeMetrics{s}}
}

// bucketMetrics shows what each bucket holds, from the ledgers in memory.
type bucketMetrics struct{ store *Store }

var (
	bucketObjects = prometheus.NewDesc("larder_bucket_objects", "Objects in a bucket.", []string{"bucket"}, nil)
	bucketBytes   = prometheus.NewDesc("larder_bucket_bytes", "Bytes of the objects in a bucket.", []string{"bucket"}, nil)
)

// Describe implements prometheus.Collector.
func (m bucketMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- bucketObjects
	out <- bucketBytes
}

// Collect implements prometheus.Collector.
func (m bucketMetrics) Collect(out chan<- prometheus.Metric) {
	ctx := context.Background() //nolint:forbidigo // the interface has none
	buckets, err := m.store.ListBuckets(ctx)
	if err != nil {
		return
	}
	for _, b := range buckets {
		usage, err := m.store.Usage(ctx, b.Name)
		if err != nil {
			continue // it was deleted meanwhile
		}
		out <- prometheus.MustNewConstMetric(bucketObjects, prometheus.GaugeValue, float64(usage.Objects), string(b.Name))
		out <- prometheus.MustNewConstMetric(bucketBytes, prometheus.GaugeValue, float64(usage.Bytes), string(b.Name))
	}
}
