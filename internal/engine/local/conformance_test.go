package local_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/storetest"
)

// TestConformance runs the contract of all stores on the operating system's
// disk, as configured for a server.
func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) object.Store {
		t.Helper()
		return running(t, disk.OS(), t.TempDir(), local.Config{})
	})
}

// TestConformanceSmall runs it in memory with tiny segments and extents, so that
// every case crosses their borders.
func TestConformanceSmall(t *testing.T) {
	storetest.Run(t, func(t *testing.T) object.Store {
		t.Helper()
		return running(t, disk.New(vfs.NewMem()), "store", small())
	})
}

// running opens a store with its background work, until the test ends.
func running(t *testing.T, fs disk.FS, dir string, cfg local.Config) *local.Store {
	t.Helper()
	store, err := local.Open(fs, dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := contextUntilCleanup(t)
	ran := make(chan error, 1)
	go func() { ran <- store.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return store
}

// small is a configuration in which little data crosses every border.
func small() local.Config {
	return local.Config{
		Reserve: -1, Segments: 2, SegmentSize: 96 << 10, ExtentSize: 64 << 10, FlushRecords: 100,
		FlushEvery: 50 * time.Millisecond, ReclaimEvery: 20 * time.Millisecond, Memory: 64 << 20,
		Index: index.Config{Cache: 1 << 20, MemTable: 64 << 10},
	}
}

// contextUntilCleanup outlives t.Context, which ends before cleanups run.
func contextUntilCleanup(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(context.WithoutCancel(t.Context()))
}
