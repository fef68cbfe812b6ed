package local_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// gauged is a disk that says how much room it has.
type gauged struct {
	disk.FS

	free atomic.Uint64
}

func (g *gauged) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: g.free.Load()}, nil
}

func TestAFullDiskIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		fs := &gauged{FS: disk.New(vfs.NewMem())}
		fs.free.Store(1 << 30)
		s := open(t, fs, local.Config{Reserve: 1 << 20, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer func() { _ = s.Close() }()
		if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := contextUntilCleanup(t)
		defer stop()
		go func() { _ = s.Run(ctx) }()
		after := func(free uint64) {
			fs.free.Store(free)
			<-time.After(time.Minute)
			synctest.Wait()
		}
		after(1 << 30)
		if err := s.Writable(); err != nil || log.Len() > 0 {
			t.Errorf("with room: %v, %s", err, &log)
		}
		after(1 << 10)
		if err := s.Writable(); !errors.Is(err, fault.Full) {
			t.Errorf("without room: %v", err)
		}
		if got := values(t, s)["larder_store_disk_full"]; got != 1 {
			t.Errorf("the metric says %v", got)
		}
		after(1 << 30)
		if err := s.Writable(); err != nil {
			t.Errorf("with room again: %v", err)
		}
		for _, want := range []string{"level=WARN msg=\"the disk is full", "free_bytes=1024", "level=INFO msg=\"the disk has room again"} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("not once in the log: %s\n%s", want, &log)
			}
		}
	})
}

func TestStoreMetrics(t *testing.T) {
	fs := &gauged{FS: disk.New(vfs.NewMem())}
	fs.free.Store(1 << 33)
	s := open(t, fs, local.Config{Segments: 1, SegmentSize: 64 << 10, ExtentSize: 64 << 10})
	defer func() { _ = s.Close() }()
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		put(t, s, string(rune('a'+i%8)), random(10_000, uint64(i)))
	}
	before := values(t, s)
	if err := s.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := values(t, s)
	for name, ok := range map[string]bool{
		"larder_store_segments":                 after["larder_store_segments"] < before["larder_store_segments"],
		"larder_store_live_bytes":               after["larder_store_live_bytes"] >= 80_000,
		"larder_store_dead_bytes":               before["larder_store_dead_bytes"] >= 300_000 && after["larder_store_dead_bytes"] < 100_000,
		"larder_store_index_bytes":              after["larder_store_index_bytes"] > 0,
		"larder_store_disk_free_bytes":          after["larder_store_disk_free_bytes"] == 1<<33,
		"larder_store_disk_reserve_bytes":       after["larder_store_disk_reserve_bytes"] == 1<<30,
		"larder_store_disk_full":                after["larder_store_disk_full"] == 0,
		"larder_store_syncs_total":              before["larder_store_syncs_total"] >= 40,
		"larder_store_records_total":            before["larder_store_records_total"] >= 40,
		"larder_store_written_bytes_total":      before["larder_store_written_bytes_total"] >= 400_000 && before["larder_store_written_bytes_total"] < 410_000,
		"larder_store_compacted_segments_total": after["larder_store_compacted_segments_total"] > 0,
		"larder_store_compacted_bytes_total":    after["larder_store_compacted_bytes_total"] > 0,
		"larder_store_punched_bytes_total":      after["larder_store_punched_bytes_total"] >= 0,
		"larder_store_scrubbed_bytes_total":     after["larder_store_scrubbed_bytes_total"] > 0,
		"larder_store_damaged_records_total":    after["larder_store_damaged_records_total"] == 0,
		"larder_bucket_objects":                 after["larder_bucket_objects"] == 8,
		"larder_bucket_bytes":                   after["larder_bucket_bytes"] == 80_000,
	} {
		if _, there := after[name]; !ok || !there {
			t.Errorf("%s: %v before, %v after", name, before[name], after[name])
		}
		delete(after, name)
	}
	if len(after) > 0 {
		t.Errorf("not looked at: %v", after)
	}
}

// values are the store's metrics, those of its one bucket without their label.
func values(t *testing.T, s *local.Store) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// TestAFirstStartOnAFullDiskIsRefused: Pebble would end the process.
func TestAFirstStartOnAFullDiskIsRefused(t *testing.T) {
	full := disk.Inject(disk.New(vfs.NewMem()), func(op disk.Op) disk.Outcome {
		if op.Kind == disk.OpWrite && strings.Contains(op.Path, "/index/") {
			return disk.Outcome{Err: syscall.ENOSPC}
		}
		return disk.Outcome{}
	})
	s, err := local.Open(full, "/store", local.Config{})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
}

// TestTheCheckFileIsTakenIntoTheReserve: sccache writes it once, when it starts, and
// writes nothing for its whole life if it is refused.
func TestTheCheckFileIsTakenIntoTheReserve(t *testing.T) {
	fs := &gauged{FS: disk.New(vfs.NewMem())}
	fs.free.Store(1 << 30)
	s := open(t, fs, local.Config{Reserve: 1 << 20})
	defer func() { _ = s.Close() }()
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{Cache: true}); err != nil {
		t.Fatal(err)
	}
	fs.free.Store(1 << 10)
	try := func(key object.Key, size int) error {
		body := random(size, 1)
		_, err := s.Put(t.Context(), object.PutRequest{Bucket: "bucket", Key: key, Content: newContent(body), Size: int64(size)})
		return err
	}
	for key, size := range map[object.Key]int{"k": 13, "b/.sccache_check": 1000} {
		if err := try(key, size); !errors.Is(err, fault.Full) {
			t.Errorf("%s of %d bytes: %v", key, size, err)
		}
	}
	if err := try("a/.sccache_check", 13); err != nil {
		t.Error(err)
	}
}
