package local

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
)

// replayer brings the index up to what the segments hold.
type replayer struct {
	segs  *segment.Set
	index *index.Index
	log   *slog.Logger
}

// replayBatch is how many records are applied at once.
const replayBatch = 1000

// run replays newer segments first, so that a fence is known before the segment
// that it ends.
func (r *replayer) run() error {
	ids := r.segs.IDs()
	replayed := false
	for _, id := range slices.Backward(ids) {
		did, err := r.segment(id)
		if err != nil {
			return fmt.Errorf("replay segment %d: %w", id, err)
		}
		replayed = replayed || did
	}
	if !replayed {
		return nil
	}
	return r.index.Sweep()
}

// segment replays one segment from its checkpoint, and fences it if nothing
// sealed it.
func (r *replayer) segment(id uint64) (bool, error) {
	state, _ := r.index.State(id)
	size, err := r.segs.Size(id)
	if err != nil {
		return false, err
	}
	end := size
	if state.End > 0 {
		end = state.End
	}
	if state.Sealed && state.Applied >= end {
		return false, nil
	}
	if err := r.segs.Sync(id); err != nil { // what is served from here on rests on it
		return false, err
	}
	run := segmentReplay{replayer: r, id: id}
	scan, err := r.segs.Scan(id, state.Applied, state.End, run.visit)
	if err != nil {
		return false, err
	}
	if err := run.flush(scan.End, scan.Sealed); err != nil {
		return false, err
	}
	for _, h := range scan.Holes {
		r.log.Warn("segment has a hole", "segment", id, "start_bytes", h.Start, "end_bytes", h.End, "damaged", h.Damaged)
	}
	if !scan.Sealed && state.End == 0 {
		r.segs.Fence(id, scan.End, run.unlisted)
	}
	return true, nil
}

// segmentReplay gathers the records of one segment into groups.
type segmentReplay struct {
	*replayer
	id       uint64
	group    []*segment.Record
	chained  []*segment.Record // waiting for the record that they count with
	unlisted []segment.Listed  // since the last directory
}

func (s *segmentReplay) visit(f *segment.Found) error {
	rec := &segment.Record{Header: f.Header, Loc: f.Loc}
	rec.Key, rec.Attrs = bytes.Clone(f.Key), bytes.Clone(f.Attrs)
	if rec.Kind == segment.Directory {
		s.unlisted = s.unlisted[:0]
	} else {
		s.unlisted = append(s.unlisted, segment.Listed{
			Kind: rec.Kind, Offset: rec.Loc.Offset, Seq: rec.Seq, Incarnation: rec.Incarnation, Key: rec.Key,
		})
	}
	if n := len(s.chained); n > 0 && !s.chained[n-1].Loc.Precedes(rec.Loc) {
		s.chained = nil // its partner is lost: it was not acknowledged
	}
	if rec.Flags&segment.Chained != 0 {
		s.chained = append(s.chained, rec)
		return nil
	}
	s.group = append(append(s.group, s.chained...), rec)
	s.chained = nil
	if len(s.group) < replayBatch {
		return nil
	}
	return s.flush(rec.Loc.End(), false)
}

func (s *segmentReplay) flush(end int64, sealed bool) error {
	err := s.index.Replay(&segment.Group{Segment: s.id, Records: s.group, End: end, Sealed: sealed})
	s.group = nil
	return err
}
