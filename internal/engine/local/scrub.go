package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/object"
)

// scrubber re-reads segments one by one, so that damage is found before the
// content is wanted. One goroutine uses it.
type scrubber struct {
	last uint64    // segment read last
	next time.Time // when the next is due
}

// scrub reads the next segment if it is due. All are read once in ScrubEvery.
func (s *Store) scrub(ctx context.Context, b *scrubber) error {
	ids := s.segs.IDs()
	now := time.Now()
	if s.cfg.ScrubEvery < 0 || len(ids) == 0 || now.Before(b.next) {
		return nil
	}
	if !b.next.IsZero() {
		id := ids[0]
		for _, candidate := range ids {
			if candidate > b.last {
				id = candidate
				break
			}
		}
		b.last = id
		if _, err := s.scrubSegment(ctx, id); err != nil {
			return err
		}
	}
	b.next = now.Add(s.cfg.ScrubEvery / time.Duration(len(ids)))
	return nil
}

// Scrub re-reads all content that is not being written, logs what is damaged, and
// returns how many records are.
func (s *Store) Scrub(ctx context.Context) (damaged int, err error) {
	for _, id := range s.segs.IDs() {
		n, err := s.scrubSegment(ctx, id)
		if err != nil {
			return damaged, err
		}
		damaged += n
	}
	return damaged, nil
}

func (s *Store) scrubSegment(ctx context.Context, id uint64) (damaged int, err error) {
	state, known := s.index.State(id)
	if !known || !state.Sealed || state.Doomed {
		return 0, nil
	}
	defer func() { s.counts.damaged.Add(int64(damaged)) }()
	scan, err := s.segs.Scan(id, 0, state.End, func(f *segment.Found) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		punched, err := s.segs.Verify(f.Loc)
		if err != nil && !errors.Is(err, segment.ErrDamaged) {
			return err
		}
		if err == nil && !punched {
			return nil
		}
		if fate, ferr := s.index.Fate(f); ferr != nil || fate == index.Dead {
			return ferr
		}
		damaged++
		s.cfg.Logger.ErrorContext(ctx, "content is damaged", slog.Uint64("segment", id), slog.Int64("offset_bytes", f.Loc.Offset),
			slog.String("bucket", string(s.bucketOf(f.Incarnation))), slog.String("key", string(f.Key)))
		return nil
	})
	switch {
	case errors.Is(err, segment.ErrGone), errors.Is(err, context.Canceled):
		return damaged, nil
	case err != nil:
		return damaged, fmt.Errorf("scrub segment %d: %w", id, err)
	}
	s.counts.scrubbed.Add(max(state.Applied, state.End))
	for _, h := range scan.Holes {
		damaged++
		s.cfg.Logger.ErrorContext(ctx, "records are damaged", slog.Uint64("segment", id),
			slog.Int64("start_bytes", h.Start), slog.Int64("end_bytes", h.End))
	}
	return damaged, nil
}

// bucketOf returns the name of the bucket of that incarnation, "" if there is
// none.
func (s *Store) bucketOf(incarnation uint64) object.BucketName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, b := range s.buckets {
		if b.incarnation == incarnation {
			return name
		}
	}
	return ""
}
