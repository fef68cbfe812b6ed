package local

import (
	"context"
	"time"
)

// background flushes the index when much was appended, and in time, reclaims space
// and re-reads content.
func (s *Store) background(ctx context.Context) error {
	flush := time.NewTicker(s.cfg.FlushEvery)
	defer flush.Stop()
	reclaim := time.NewTicker(s.cfg.ReclaimEvery)
	defer reclaim.Stop()
	var scrubber scrubber
	full := s.watchSpace(ctx, false)
	if err := s.index.Filter(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Logger.ErrorContext(ctx, "background work failed and is tried again", "what", "index filter", "error", err)
	}
	for {
		var err error
		what := "index flush"
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			err = s.Flush(ctx)
		case <-flush.C:
			if s.records.Load() > 0 {
				err = s.Flush(ctx)
			}
		case <-reclaim.C:
			what = "reclaim"
			full = s.watchSpace(ctx, full)
			if err = s.Reclaim(ctx); err == nil {
				what = "scrub"
				err = s.scrub(ctx, &scrubber)
			}
		}
		if err != nil {
			s.cfg.Logger.ErrorContext(ctx, "background work failed and is tried again", "what", what, "error", err)
		}
	}
}

// watchSpace says when the disk comes into its reserve and when it is out of it
// again. It returns whether it is in.
func (s *Store) watchSpace(ctx context.Context, was bool) bool {
	free, low := s.space.look()
	switch {
	case low && !was:
		s.cfg.Logger.WarnContext(ctx, "the disk is full and writes are refused until there is room again", "free_bytes", free, "reserve_bytes", s.space.reserve)
	case was && !low:
		s.cfg.Logger.InfoContext(ctx, "the disk has room again and writes are accepted", "free_bytes", free)
	}
	return low
}
