package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
)

// reclaimer gives space back. Reclaim uses it under its mutex.
type reclaimer struct {
	punched map[uint64]int64           // dead bytes of a segment when it was last punched
	doomed  map[uint64][]index.DeadKey // segments that wait for readers, and what they held
	damaged map[uint64]bool            // segments that compaction could not read
	noHoles bool                       // the file system cannot punch
}

const (
	moveBytes   = 4 << 20 // copied at once
	moveRecords = 256

	// maxRemembered bounds the keys kept of the segments that are on their way out;
	// those of further ones are searched for.
	maxRemembered = 1 << 20
)

// Reclaim gives back the space of what is dead, as far as that is worth while:
// it punches holes where large dead bodies lie, and moves what lives out of
// segments that are mostly dead. Run calls it.
func (s *Store) Reclaim(ctx context.Context) error {
	s.reclaiming.Lock()
	defer s.reclaiming.Unlock()
	err := s.reclaimOnce(ctx)
	if disk.IsFull(err) && s.space.drop() {
		err = s.reclaimOnce(ctx)
	}
	if err != nil {
		return err
	}
	return s.space.float()
}

func (s *Store) reclaimOnce(ctx context.Context) error {
	if err := s.removeDoomed(); err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	if err := s.punch(ctx); err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	for n := 0; n < 64 && ctx.Err() == nil; n++ { // a later call goes on
		victims := s.victims()
		if len(victims) == 0 {
			break
		}
		if err := s.compact(ctx, victims); err != nil {
			return fmt.Errorf("reclaim: %w", err)
		}
	}
	return nil
}

// settled waits until every lookup that began before has pinned what it found:
// from then on nobody comes to a location that the index has given up.
func (s *Store) settled() {
	s.lookups.Lock()
	defer s.lookups.Unlock()
}

// punch gives back the pages of dead bodies in sealed segments. The record that
// killed each is durable: the index, which says so, learns of it only then.
func (s *Store) punch(ctx context.Context) error {
	if s.reclaim.noHoles {
		return nil
	}
	for id, state := range s.index.States() {
		if !state.Sealed || state.Doomed || ctx.Err() != nil {
			continue
		}
		fresh := state.Dead - s.reclaim.punched[id]
		if fresh < min(s.cfg.SegmentSize/8, 4<<20) || s.mostlyDead(state) {
			continue
		}
		if err := s.punchSegment(id, state); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) punchSegment(id uint64, state index.State) error {
	var dead []segment.Location
	_, err := s.segs.Scan(id, 0, state.End, func(f *segment.Found) error {
		if _, n := f.Loc.Punchable(); n == 0 {
			return nil
		}
		fate, err := s.index.Fate(f)
		if err == nil && fate == index.Dead {
			dead = append(dead, f.Loc)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.settled()
	var given int64
	all := true
	for _, loc := range dead {
		done, err := s.segs.Punch(loc)
		if errors.Is(err, errors.ErrUnsupported) {
			s.reclaim.noHoles = true
			return nil
		}
		if err != nil {
			return err
		}
		if _, n := loc.Punchable(); done {
			given += n
		}
		all = all && done
	}
	if all {
		s.reclaim.punched[id] = state.Dead
	}
	s.counts.punched.Add(max(given-state.Punched, 0))
	return s.index.Change(id, func(st *index.State) { st.Punched = given })
}

// mostlyDead reports whether compacting a segment gives back as much as it
// writes.
func (s *Store) mostlyDead(state index.State) bool {
	size := max(state.Applied, state.End)
	garbage := state.Dead - state.Punched
	return 2*garbage >= size-state.Punched
}

// victims chooses the segments to compact next: mostly dead ones, and small ones
// when there are many.
func (s *Store) victims() []uint64 {
	type candidate struct {
		id   uint64
		live int64
	}
	var dead, small []candidate
	for id, state := range s.index.States() {
		if !state.Sealed || state.Doomed || s.reclaim.damaged[id] {
			continue
		}
		size := max(state.Applied, state.End)
		c := candidate{id, size - state.Dead}
		switch {
		case s.mostlyDead(state):
			dead = append(dead, c)
		case size-state.Punched < s.cfg.SegmentSize/8:
			small = append(small, c)
		}
	}
	if len(small) >= 2*s.cfg.Segments {
		dead = append(dead, small...)
	}
	slices.SortFunc(dead, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.live, b.live), cmp.Compare(a.id, b.id)) })
	var ids []uint64
	var live int64
	for _, c := range dead {
		if live += c.live; live > s.cfg.SegmentSize && len(ids) > 0 {
			break
		}
		ids = append(ids, c.id)
	}
	return ids
}

// compact moves what lives out of the victims into a newer segment, then lets
// them go.
func (s *Store) compact(ctx context.Context, victims []uint64) error {
	mover := s.segs.Mover()
	var emptied []uint64
	keys := map[uint64][]index.DeadKey{}
	room := maxRemembered
	for _, left := range s.reclaim.doomed {
		room -= len(left)
	}
	for _, id := range victims {
		if ctx.Err() != nil {
			break
		}
		left, err := s.evacuate(mover, id, room, false)
		if errors.Is(err, segment.ErrDamaged) || errors.Is(err, segment.ErrGone) || errors.Is(err, index.ErrDamaged) {
			s.cfg.Logger.ErrorContext(ctx, "segment is damaged and stays", "segment", id, "error", err)
			s.reclaim.damaged[id] = true
			continue
		}
		if err != nil {
			return errors.Join(err, mover.Seal())
		}
		emptied, keys[id] = append(emptied, id), left
		room -= len(left)
	}
	maps.Copy(s.reclaim.doomed, keys)
	return s.letGo(ctx, mover, emptied)
}

// letGo removes segments that were emptied, once the copies and an index that
// points to them are durable.
func (s *Store) letGo(ctx context.Context, mover *segment.Mover, emptied []uint64) error {
	if err := mover.Seal(); err != nil {
		return err
	}
	for _, id := range emptied {
		if err := s.index.Change(id, func(st *index.State) { st.Doomed = true }); err != nil {
			return err
		}
	}
	s.counts.compacted.Add(int64(len(emptied)))
	if err := s.Flush(ctx); err != nil { // no index on the disk points into the victims any more
		return err
	}
	return s.removeDoomed()
}

// evacuate copies what lives in a segment and returns the keys in it, nil if they
// are more than room. It stops at damage, which may be needed still, unless force is
// given: then that stays behind.
func (s *Store) evacuate(mover *segment.Mover, id uint64, room int, force bool) (left []index.DeadKey, err error) {
	state, _ := s.index.State(id)
	left = []index.DeadKey{}
	var batch []*segment.Record
	var size int64
	move := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := mover.Append(batch); err != nil {
			return err
		}
		s.counts.moved.Add(size)
		batch, size = nil, 0
		return nil
	}
	scan, err := s.segs.Scan(id, 0, state.End, func(f *segment.Found) error {
		switch {
		case f.Kind != segment.Put && f.Kind != segment.Delete:
		case len(left) >= room:
			left, room = nil, 0
		default:
			left = append(left, index.DeadKey{Incarnation: f.Incarnation, Key: bytes.Clone(f.Key)})
		}
		fate, err := s.index.Fate(f)
		if err != nil || fate == index.Dead {
			return err
		}
		rec, err := s.segs.Copy(f.Loc)
		if force && errors.Is(err, segment.ErrDamaged) {
			return nil
		}
		if err != nil {
			return err
		}
		batch = append(batch, rec)
		if size += f.Loc.Size(); size >= moveBytes || len(batch) >= moveRecords {
			return move()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, h := range scan.Holes {
		if h.Damaged && !force {
			return nil, fmt.Errorf("hole at %d: %w", h.Start, segment.ErrDamaged) // what it held may be needed still
		}
	}
	return left, move()
}

// removeDoomed unlinks the segments whose content was moved and which nobody
// reads, and only then forgets the dead records that they held.
func (s *Store) removeDoomed() error {
	s.settled()
	for id, state := range s.index.States() {
		if !state.Doomed {
			continue
		}
		done, err := s.segs.Remove(id)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if err := s.index.Forget(id, s.reclaim.doomed[id]); err != nil {
			return err
		}
		delete(s.reclaim.doomed, id)
		delete(s.reclaim.punched, id)
	}
	return nil
}

// Flush makes the index durable, so that a start has nothing to replay, and sees
// to its filter.
func (s *Store) Flush(ctx context.Context) error {
	s.unflushed.Store(0)
	s.records.Store(0)
	if err := s.index.Flush(); err != nil {
		return err
	}
	return s.index.Filter(ctx)
}
