package local

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/larder-cache/larder/internal/engine/index"
)

// Config tunes a Store. The zero value of a field means its default.
type Config struct {
	// Memory bounds what bodies on their way to the disk take, in bytes;
	// default 256 MiB, at least 16 MiB.
	Memory int64

	// Patience is how long a write waits for memory that other bodies hold; then
	// it is fault.Busy, so that slow senders do not hang the others. Default 30
	// seconds.
	Patience time.Duration

	// Reserve is how much of the disk is kept free, in bytes: at less, writes
	// are refused with fault.Full of noun Disk. Default 1 GiB, or 5 % of the
	// disk where that is less. Negative for none.
	Reserve int64

	// Segments is how many segments are written at once; default 4.
	Segments int

	// SegmentSize is when a segment is full, in bytes; default 256 MiB.
	SegmentSize int64

	// ExtentSize is the most of a body that one record holds, in bytes; default
	// and most 8 MiB, at least one block.
	ExtentSize int

	// FlushBytes is after how many appended bytes the index is flushed; default
	// 256 MiB. FlushRecords is the same in records; default 100,000.
	FlushBytes   int64
	FlushRecords int64

	// FlushEvery is after how long it is flushed at the latest; default 30 s.
	FlushEvery time.Duration

	// ReclaimEvery is how often Run looks for space to give back; default 10 s.
	ReclaimEvery time.Duration

	// ScrubEvery is how long one pass over all content takes; default 30 days,
	// negative for no scrubbing.
	ScrubEvery time.Duration

	// Index tunes the index; its Logger and Create are ignored.
	Index index.Config

	// Logger takes what Run has to say; default: nobody.
	Logger *slog.Logger

	// Now is the clock of modification times; default time.Now.
	Now func() time.Time
}

const (
	maxExtent = 8 << 20
	minMemory = 16 << 20
)

func orDefault[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

func (c *Config) check() error {
	orDefault(&c.Memory, 256<<20)
	orDefault(&c.Patience, 30*time.Second)
	orDefault(&c.Segments, 4)
	orDefault(&c.SegmentSize, 256<<20)
	orDefault(&c.ExtentSize, maxExtent)
	orDefault(&c.FlushBytes, 256<<20)
	orDefault(&c.FlushRecords, 100_000)
	orDefault(&c.FlushEvery, 30*time.Second)
	orDefault(&c.ReclaimEvery, 10*time.Second)
	orDefault(&c.ScrubEvery, 30*24*time.Hour)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case c.Memory < minMemory:
		return fmt.Errorf("memory of %d bytes: at least 16 MiB are needed", c.Memory)
	case c.ExtentSize < 64<<10 || c.ExtentSize > maxExtent:
		return fmt.Errorf("extents of %d bytes: 64 KiB to 8 MiB are possible", c.ExtentSize)
	case c.Patience < 0:
		return fmt.Errorf("patience cannot be negative")
	case c.FlushBytes < 0 || c.FlushRecords < 0 || c.FlushEvery < 0 || c.ReclaimEvery < 0:
		return fmt.Errorf("flush and reclaim intervals cannot be negative")
	}
	return nil
}
