package local

import (
	"context"
	"time"
)

// background flushes the index when much was appended, and in time.
func (s *Store) background(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-tick.C:
		}
		if s.records.Load() == 0 {
			continue
		}
		s.unflushed.Store(0)
		s.records.Store(0)
		if err := s.index.Flush(); err != nil {
			s.cfg.Logger.ErrorContext(ctx, "index flush", "error", err)
		}
	}
}
