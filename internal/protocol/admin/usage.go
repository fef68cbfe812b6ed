package admin

import (
	"context"
	"errors"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// usageReport is what all buckets hold.
type usageReport struct {
	buckets        map[object.BucketName]object.Usage
	objects, bytes int64
}

func (p *Protocol) usage(ctx context.Context) (*usageReport, error) {
	buckets, err := p.store.ListBuckets(ctx)
	if err != nil {
		return nil, err
	}
	report := &usageReport{buckets: make(map[object.BucketName]object.Usage, len(buckets))}
	for _, b := range buckets {
		usage, err := p.store.Usage(ctx, b.Name)
		if errors.Is(err, fault.NotFound) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		report.buckets[b.Name] = usage
		report.objects += usage.Objects
		report.bytes += usage.Bytes
	}
	return report, nil
}

// usageBody is what all buckets hold on the wire. Histograms are empty: the
// store counts, and does not sort by size.
type usageBody struct {
	Updated   time.Time                         `json:"lastUpdate"`
	Objects   int64                             `json:"objectsCount"`
	Versions  int64                             `json:"versionsCount"`
	Markers   int64                             `json:"deleteMarkersCount"`
	Bytes     int64                             `json:"objectsTotalSize"`
	Count     int                               `json:"bucketsCount"`
	Buckets   map[object.BucketName]bucketUsage `json:"bucketsUsageInfo"`
	Sizes     map[object.BucketName]int64       `json:"bucketsSizes"`
	Capacity  uint64                            `json:"capacity,omitempty"`
	Available uint64                            `json:"freeCapacity,omitempty"`
	Used      uint64                            `json:"usedCapacity,omitempty"`
}

type bucketUsage struct {
	Size      int64            `json:"size"`
	Objects   int64            `json:"objectsCount"`
	Versions  int64            `json:"versionsCount"`
	Histogram map[string]int64 `json:"objectsSizesHistogram"`
}

// dataUsageInfo describes what each bucket holds, exactly and now.
func (p *Protocol) dataUsageInfo(in *input) (*edge.Operation, error) {
	capacity := in.query.Get("capacity") == "true"
	return in.operation("admin:DataUsageInfo", func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		report, err := p.usage(ctx)
		if err != nil {
			return err
		}
		body := usageBody{
			Updated: call.Time, Objects: report.objects, Versions: report.objects, Bytes: report.bytes, Count: len(report.buckets),
			Buckets: make(map[object.BucketName]bucketUsage, len(report.buckets)),
			Sizes:   make(map[object.BucketName]int64, len(report.buckets)),
		}
		for name, usage := range report.buckets {
			body.Buckets[name] = bucketUsage{usage.Bytes, usage.Objects, usage.Objects, map[string]int64{}}
			body.Sizes[name] = usage.Bytes
		}
		if capacity {
			status, err := p.config.Status(ctx)
			if err != nil {
				return err
			}
			for _, d := range status.Drives {
				body.Capacity, body.Available, body.Used = body.Capacity+d.Total, body.Available+d.Available, body.Used+d.Used
			}
		}
		return writeJSON(w, body)
	}), nil
}
