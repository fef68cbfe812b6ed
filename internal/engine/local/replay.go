package local

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
)

// replayer brings the index up to what the segments hold.
type replayer struct {
	segs  *segment.Set
	index *index.Index
	log   *slog.Logger

	unreadable []uint64 // segments of which not even the header can be read
	lostAll    bool     // records are lost, and nobody knows whose
}

// replayBatch is how many records are applied at once.
const replayBatch = 1000

// run replays newer segments first, so that a fence is known before the segment
// that it ends. replayed is false if there was nothing.
func (r *replayer) run() (replayed bool, err error) {
	ids := r.segs.IDs()
	for _, id := range slices.Backward(ids) {
		did, err := r.segment(id)
		if err != nil {
			return false, fmt.Errorf("replay segment %d: %w", id, err)
		}
		replayed = replayed || did
	}
	if err := r.missing(ids); err != nil {
		return false, err
	}
	if r.lostAll {
		err = r.index.LoseAll()
	}
	return replayed, err
}

// missing looks at the segments that cannot be scanned. Nobody knows what one held
// behind its checkpoint. What is not there at all is forgotten: a fence may outlive
// the segment that it ended.
func (r *replayer) missing(ids []uint64) error {
	_, all := r.index.Suspect()
	for _, id := range r.unreadable {
		r.lostAll = r.lostAll || !r.index.Knows(id) && !all // what was written since an earlier start said so is not lost
	}
	for id, state := range r.index.States() {
		_, there := slices.BinarySearch(ids, id)
		if there || state.Doomed || slices.Contains(r.unreadable, id) {
			continue
		}
		r.lostAll = r.lostAll || !state.Sealed
		r.log.Warn("segment is not there", "segment", id)
		if err := r.index.Forget(id, nil); err != nil {
			return err
		}
	}
	return nil
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
	run := segmentReplay{replayer: r, id: id, applied: state.Applied, fenced: state.End > 0, held: math.MaxInt64}
	from := state.Applied
	if !state.Sealed {
		from = min(from, state.Listed) // a fence lists what no directory does
	}
	scan, err := r.segs.Scan(id, from, state.End, run.visit)
	if err != nil {
		return false, err
	}
	scan.Holes = slices.DeleteFunc(scan.Holes, func(h segment.Hole) bool { return h.End <= state.Applied })
	for i := range scan.Holes {
		scan.Holes[i].Start = max(scan.Holes[i].Start, state.Applied) // what lay before, the index knows
	}
	if err := run.settle(&scan); err != nil {
		return false, err
	}
	if err := r.judge(id, &scan); err != nil { // before a checkpoint says that all is applied
		return false, err
	}
	if err := run.flush(scan.End, scan.Sealed); err != nil {
		return false, err
	}
	if !scan.Sealed && state.End == 0 {
		r.segs.Fence(id, scan.End, run.unlisted)
	}
	return true, nil
}

// judge refuses the keys whose records lay in a segment's holes. Where nobody can
// tell which keys those are, it refuses all.
func (r *replayer) judge(id uint64, scan *segment.Scan) error {
	var listed []segment.Listed
	for _, h := range scan.Holes {
		r.log.Warn("segment has a hole", "segment", id, "start_bytes", h.Start, "end_bytes", h.End, "damaged", h.Damaged)
		if !h.Damaged {
			continue
		}
		if listed == nil {
			var err error
			if listed, err = listing(r.segs, id); err != nil {
				return err
			}
		}
		lost, whole := h.Cover(listed)
		if err := r.index.Lose(losses(id, lost)); err != nil {
			return err
		}
		if !whole {
			r.lostAll = true
			if err := r.index.LoseAll(); err != nil {
				return err
			}
		}
	}
	return nil
}

// losses are the keys among lost records.
func losses(id uint64, lost []segment.Listed) []index.Loss {
	var all []index.Loss
	for _, l := range lost {
		if l.Kind == segment.Put || l.Kind == segment.Delete {
			all = append(all, index.Loss{Incarnation: l.Incarnation, Key: l.Key, Seq: l.Seq, Segment: id, Offset: l.Offset})
		}
	}
	return all
}

// listing gathers what directories and fences say of a segment's records.
func listing(segs *segment.Set, id uint64) ([]segment.Listed, error) {
	var all []segment.Listed
	take := func(attrs []byte) {
		var some []segment.Listed
		of, _, ok := segment.ParseDirectory(bytes.Clone(attrs), func(l segment.Listed) { some = append(some, l) })
		if ok && of == id {
			all = append(all, some...)
		}
	}
	for _, other := range segs.IDs() {
		if other < id {
			continue
		}
		_, err := segs.Scan(other, 0, 0, func(f *segment.Found) error {
			if f.Kind == segment.Directory && other == id || f.Kind == segment.Fence {
				take(f.Attrs)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// segmentReplay gathers the records of one segment into groups.
type segmentReplay struct {
	*replayer
	id       uint64
	applied  int64             // what lies before it, the index has seen
	fenced   bool              // all that the scan visits had been synced
	reached  int64             // behind the record visited last
	held     int64             // no checkpoint goes further until it is known what lay in the hole there
	unproven []*segment.Record // that nothing yet says were synced
	group    []*segment.Record
	unlisted []segment.Listed // since the last directory
}

func (s *segmentReplay) visit(f *segment.Found) error {
	if f.Behind {
		s.held = min(s.held, s.reached)
	}
	s.reached = f.Loc.End()
	rec := &segment.Record{Header: f.Header, Loc: f.Loc}
	rec.Key, rec.Attrs = bytes.Clone(f.Key), bytes.Clone(f.Attrs)
	if f.Loc.Offset < s.applied {
		s.list(rec)
		return nil
	}
	s.unproven = append(s.unproven, rec)
	if s.fenced {
		return s.prove(s.reached)
	}
	return s.prove(f.Base)
}

// prove takes the records before that offset, which had been synced.
func (s *segmentReplay) prove(end int64) error {
	n := 0
	for ; n < len(s.unproven) && s.unproven[n].Loc.Offset < end; n++ {
		if err := s.take(s.unproven[n]); err != nil {
			return err
		}
	}
	s.unproven = slices.Delete(s.unproven, 0, n)
	return nil
}

// settle decides where the segment ends. A crash may have torn its last group, of
// which nobody was told then: the first record of it that is not whole, and what
// lies behind, does not count, so that all that lies before a fence is whole.
func (s *segmentReplay) settle(scan *segment.Scan) error {
	if err := s.prove(scan.Proven); err != nil {
		return err
	}
	for _, h := range scan.Holes {
		if !h.Damaged {
			scan.End = min(scan.End, h.Start)
		}
	}
	whole := 0
	for ; whole < len(s.unproven) && s.unproven[whole].Loc.Offset < scan.End; whole++ {
		punched, err := s.segs.Verify(s.unproven[whole].Loc)
		if punched || errors.Is(err, segment.ErrDamaged) {
			break
		}
		if err != nil {
			return err
		}
	}
	for whole > 0 && s.unproven[whole-1].Flags&segment.Chained != 0 {
		whole-- // it counts only with the next
	}
	if whole < len(s.unproven) {
		scan.End = min(scan.End, s.unproven[whole].Loc.Offset)
		s.log.Info("writes that were never finished are dropped", "segment", s.id, "offset_bytes", scan.End)
	}
	s.unproven = s.unproven[:whole]
	return s.prove(scan.End)
}

// list notes what no directory lists.
func (s *segmentReplay) list(rec *segment.Record) {
	if rec.Kind == segment.Directory {
		s.unlisted = s.unlisted[:0]
	}
	s.unlisted = append(s.unlisted, segment.List(&rec.Header, rec.Loc))
}

// take applies one record, in groups.
func (s *segmentReplay) take(rec *segment.Record) error {
	s.list(rec)
	s.group = append(s.group, rec)
	if len(s.group) < replayBatch {
		return nil
	}
	return s.flush(min(rec.Loc.End(), s.held), false)
}

func (s *segmentReplay) flush(end int64, sealed bool) error {
	err := s.index.Replay(&segment.Group{Segment: s.id, Records: s.group, End: end, Sealed: sealed})
	s.group = nil
	return err
}
