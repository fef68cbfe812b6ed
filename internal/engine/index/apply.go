package index

import (
	"encoding/binary"
	"fmt"
	"maps"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/larder-cache/larder/internal/engine/segment"
)

// tx is one group on its way into the index. The values that it has changed are
// read back from it, and all of it becomes visible at once.
type tx struct {
	x       *Index
	batch   *pebble.Batch
	changed map[string][]byte // nil: deleted
	written map[string]bool   // of them, extents and objects that were set, also if they are deleted again
	states  map[uint64]*State
	ledgers map[uint64]*Ledger
	gone    map[uint64]bool // segment states to forget
	seq     uint64
	lost    int
	replay  bool // order across segments is unknown: no cascades
}

func (x *Index) begin() *tx {
	return &tx{
		x: x, batch: x.db.NewBatch(), changed: map[string][]byte{}, written: map[string]bool{},
		states: map[uint64]*State{}, ledgers: map[uint64]*Ledger{}, seq: x.seq,
	}
}

func (t *tx) get(key []byte) ([]byte, error) {
	if v, ok := t.changed[string(key)]; ok {
		return v, nil
	}
	return t.x.get(key)
}

func (t *tx) set(key, value []byte) error {
	t.x.note(key)
	k := string(key)
	t.changed[k] = value
	if key[0] == spaceExtent || key[0] == spaceObject {
		t.written[k] = true
	}
	return t.batch.Set(key, value, nil)
}

func (t *tx) delete(key []byte) error {
	t.changed[string(key)] = nil
	return t.batch.Delete(key, nil)
}

// state returns the segment's state for changing, nil if it is unknown.
func (t *tx) state(id uint64) *State {
	if s, ok := t.states[id]; ok {
		return s
	}
	old := t.x.states[id]
	if old == nil {
		return nil
	}
	s := *old
	t.states[id] = &s
	return &s
}

func (t *tx) ledger(incarnation uint64) *Ledger {
	if l, ok := t.ledgers[incarnation]; ok {
		return l
	}
	l := &Ledger{}
	if old := t.x.ledgers[incarnation]; old != nil {
		*l = *old
	}
	t.ledgers[incarnation] = l
	return l
}

// dead counts the bytes of a record that nothing refers to any more.
func (t *tx) dead(loc segment.Location) {
	if s := t.state(loc.Segment); s != nil {
		s.Dead += loc.Size()
	}
}

// commit applies the batch. x.applying is held.
func (t *tx) commit() error {
	for id, s := range t.states {
		if err := t.batch.Set(appendKey(nil, spaceSegment, id, nil), appendState(nil, s), nil); err != nil {
			return err
		}
	}
	for id := range t.gone {
		if err := t.batch.Delete(appendKey(nil, spaceSegment, id, nil), nil); err != nil {
			return err
		}
	}
	for inc, l := range t.ledgers {
		if *l == (Ledger{}) { // buckets come and go
			if err := t.batch.Delete(appendKey(nil, spaceLedger, inc, nil), nil); err != nil {
				return err
			}
			continue
		}
		v := binary.LittleEndian.AppendUint64(nil, uint64(l.Objects))
		v = binary.LittleEndian.AppendUint64(v, uint64(l.Bytes))
		if err := t.batch.Set(appendKey(nil, spaceLedger, inc, nil), v, nil); err != nil {
			return err
		}
	}
	if t.seq > t.x.seq {
		if err := t.batch.Set(metaKey("seq"), binary.LittleEndian.AppendUint64(nil, t.seq), nil); err != nil {
			return err
		}
	}
	if err := t.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	t.publish()
	return t.batch.Close()
}

// publish takes over what is kept in memory.
func (t *tx) publish() {
	t.x.mu.Lock()
	defer t.x.mu.Unlock()
	maps.Copy(t.x.states, t.states)
	for id := range t.gone {
		delete(t.x.states, id)
	}
	for inc, l := range t.ledgers {
		if *l == (Ledger{}) {
			delete(t.x.ledgers, inc)
		} else {
			t.x.ledgers[inc] = l
		}
	}
	t.x.seq = max(t.x.seq, t.seq)
	t.x.lost += t.lost
}

// Apply applies one group: its records in offset order, the ledgers they change,
// and the segment's checkpoint, all or nothing.
func (x *Index) Apply(g *segment.Group) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	return x.apply(g, false)
}

// Replay applies records that a scan found behind the checkpoint. Segments may
// come in any order; Sweep settles afterwards what the order left open.
func (x *Index) Replay(g *segment.Group) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	return x.apply(g, true)
}

func (x *Index) apply(g *segment.Group, replay bool) error {
	t := x.begin()
	t.replay = replay
	s := t.state(g.Segment)
	if s == nil {
		s = &State{}
		t.states[g.Segment] = s
	}
	for _, r := range g.Records {
		if err := t.record(r); err != nil {
			return fmt.Errorf("apply record at %d in segment %d: %w", r.Loc.Offset, g.Segment, err)
		}
	}
	s.Applied = max(s.Applied, g.End) // in the same batch as what it vouches for
	s.Sealed = s.Sealed || g.Sealed
	return t.commit()
}

func (t *tx) record(r *segment.Record) error {
	t.seq = max(t.seq, r.Seq)
	switch r.Kind {
	case segment.Put:
		return t.put(r)
	case segment.Delete:
		return t.tombstone(r)
	case segment.Extent:
		return t.extent(r)
	case segment.Directory:
		t.dead(r.Loc)
		if s := t.state(r.Loc.Segment); s != nil {
			s.Listed = max(s.Listed, r.Loc.Offset)
		}
		return nil
	case segment.Fence:
		return t.fence(r)
	}
	return fmt.Errorf("%w: record of kind %d", ErrDamaged, r.Kind)
}

// current reads a key's entry and history.
func (t *tx) current(r *segment.Record) (e Entry, found bool, h history, err error) {
	v, err := t.get(appendKey(nil, spaceObject, r.Incarnation, r.Key))
	if err != nil {
		return e, false, h, err
	}
	if v != nil {
		if e, err = parseEntry(v); err != nil {
			return e, false, h, err
		}
	}
	if isPart(r.Incarnation, r.Key) {
		return e, v != nil, h, nil // their owner's life decides, so they need no history
	}
	hv, err := t.get(appendKey(nil, spaceHistory, r.Incarnation, r.Key))
	if err == nil && hv != nil {
		h, err = parseHistory(hv)
	}
	return e, v != nil, h, err
}

// put applies a key's new state. The highest seq wins, and of two copies of one
// record the later.
func (t *tx) put(r *segment.Record) error {
	e, found, h, err := t.current(r)
	if err != nil {
		return err
	}
	newest := max(e.Seq, h.Seq)
	switch {
	case r.Seq < newest, r.Copy && e.Seq != r.Seq, found && e.Seq == r.Seq && r.Loc.Less(e.Loc):
		t.dead(r.Loc)
		h.add(r.Loc.Segment)
		return t.remember(r, &h)
	case found && e.Seq == r.Seq:
		if e.Loc == r.Loc {
			return nil
		}
		t.dead(e.Loc)
		h.add(e.Loc.Segment)
		e.Loc = r.Loc
		if err := t.store(r, &e); err != nil {
			return err
		}
		return t.remember(r, &h)
	}
	return t.replace(r, &e, found, &h)
}

// store writes a key's entry.
func (t *tx) store(r *segment.Record, e *Entry) error {
	return t.set(appendKey(nil, spaceObject, r.Incarnation, r.Key), appendEntry(nil, e))
}

// remember writes a key's history.
func (t *tx) remember(r *segment.Record, h *history) error {
	if isPart(r.Incarnation, r.Key) {
		return nil
	}
	key := appendKey(nil, spaceHistory, r.Incarnation, r.Key)
	if h.Seq == 0 && len(h.Segments) == 0 {
		return t.delete(key)
	}
	return t.set(key, h.append(nil))
}

// replace makes r the key's current record.
func (t *tx) replace(r *segment.Record, e *Entry, found bool, h *history) error {
	next := &Entry{Seq: r.Seq, Loc: r.Loc, Stage: r.Stage, Attrs: r.Attrs}
	body, _, ok := ParseBody(r.Attrs)
	if !ok {
		return fmt.Errorf("%w: attributes of a put", ErrDamaged)
	}
	if found {
		if err := t.kill(r, e, next); err != nil {
			return err
		}
		h.add(e.Loc.Segment)
	}
	if h.Seq != 0 { // the key is back: its tombstone is a dead record now
		t.dead(h.Loc)
		h.add(h.Loc.Segment)
		h.Seq, h.Loc = 0, segment.Location{}
	}
	if found || len(h.Segments) > 0 {
		if err := t.remember(r, h); err != nil {
			return err
		}
	}
	if r.Incarnation != System {
		l := t.ledger(r.Incarnation)
		l.Objects++
		l.Bytes += body.Size
	}
	if err := t.adopt(&body); err != nil {
		return err
	}
	if err := t.found(r); err != nil {
		return err
	}
	return t.store(r, next)
}

// adopt drops the parts of an upload that the object made of it does not list.
func (t *tx) adopt(body *Body) error {
	if body.Shape != Parts || t.replay {
		return nil
	}
	listed := make(map[int]bool, len(body.Parts))
	for _, p := range body.Parts {
		listed[p.Number] = true
	}
	return t.dropParts(body.Upload, listed)
}

// found ends the quarantine of a key that has a new record.
func (t *tx) found(r *segment.Record) error {
	if t.x.lost+t.lost == 0 {
		return nil
	}
	key := appendKey(nil, spaceLost, r.Incarnation, r.Key)
	v, err := t.get(key)
	if err != nil || v == nil || binary.LittleEndian.Uint64(v) >= r.Seq {
		return err
	}
	t.lost--
	return t.delete(key)
}

// kill takes the current record e of r's key out of the accounts. next is what
// replaces it, nil if nothing does.
func (t *tx) kill(r *segment.Record, e, next *Entry) error {
	t.dead(e.Loc)
	body, _, ok := ParseBody(e.Attrs)
	if !ok {
		return fmt.Errorf("%w: attributes of an entry", ErrDamaged)
	}
	if r.Incarnation != System {
		l := t.ledger(r.Incarnation)
		l.Objects--
		l.Bytes -= body.Size
	}
	if t.replay {
		return nil // Sweep finds what belongs to nobody
	}
	switch body.Shape {
	case Inline:
	case Extents:
		if next == nil || next.Stage != e.Stage {
			return t.dropExtents(e.Stage)
		}
	case Parts:
		if next != nil {
			if b, _, ok := ParseBody(next.Attrs); ok && b.Shape == Parts && b.Upload == body.Upload {
				return nil
			}
		}
		return t.dropParts(body.Upload, nil)
	}
	return nil
}

// dropExtents forgets the extents of a stage.
func (t *tx) dropExtents(stage uint64) error {
	return t.eachChanged(appendKey(nil, spaceExtent, stage, nil), func(key, value []byte) error {
		e, err := parseExtent(value)
		if err != nil {
			return err
		}
		t.dead(e.Loc)
		return t.delete(key)
	})
}

// dropParts forgets the parts of an upload, but for those in keep.
func (t *tx) dropParts(id UploadID, keep map[int]bool) error {
	prefix := appendKey(nil, spaceObject, System, Part(id, 0)[:17])
	return t.eachChanged(prefix, func(key, value []byte) error {
		_, number, ok := parsePart(key[9:])
		if !ok || keep[number] {
			return nil
		}
		e, err := parseEntry(value)
		if err != nil {
			return err
		}
		t.dead(e.Loc)
		if b, _, ok := ParseBody(e.Attrs); ok && b.Shape == Extents {
			if err := t.dropExtents(e.Stage); err != nil {
				return err
			}
		}
		return t.delete(key)
	})
}

// eachChanged visits the keys of a prefix as the transaction sees them.
func (t *tx) eachChanged(prefix []byte, visit func(key, value []byte) error) error {
	type pair struct{ key, value []byte }
	var all []pair
	err := t.x.each(prefix, func(key, value []byte) error {
		k := append([]byte(nil), key...)
		if v, ok := t.changed[string(k)]; ok {
			value = v
		}
		if value != nil {
			all = append(all, pair{k, append([]byte(nil), value...)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for key := range t.written { // not all that changed: what goes with one object may be a million deletions
		value := t.changed[key]
		if value == nil || !strings.HasPrefix(key, string(prefix)) {
			continue
		}
		if v, err := t.x.get([]byte(key)); err != nil || v != nil {
			continue // visited above
		}
		all = append(all, pair{[]byte(key), value})
	}
	for _, p := range all {
		if err := visit(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// tombstone applies a key's absence.
func (t *tx) tombstone(r *segment.Record) error {
	e, found, h, err := t.current(r)
	if err != nil {
		return err
	}
	newest := max(e.Seq, h.Seq)
	switch {
	case r.Seq < newest, r.Copy && h.Seq != r.Seq, h.Seq == r.Seq && r.Loc.Less(h.Loc):
		t.dead(r.Loc)
		h.add(r.Loc.Segment)
		return t.remember(r, &h)
	case h.Seq == r.Seq:
		if h.Loc == r.Loc {
			return nil
		}
		t.dead(h.Loc)
		h.add(h.Loc.Segment)
		h.Loc = r.Loc
		return t.remember(r, &h)
	}
	if found {
		if err := t.kill(r, &e, nil); err != nil {
			return err
		}
		h.add(e.Loc.Segment)
		if err := t.delete(appendKey(nil, spaceObject, r.Incarnation, r.Key)); err != nil {
			return err
		}
	}
	if h.Seq != 0 {
		t.dead(h.Loc)
		h.add(h.Loc.Segment)
	}
	h.Seq, h.Loc = r.Seq, r.Loc
	if err := t.endUpload(r); err != nil {
		return err
	}
	if err := t.found(r); err != nil {
		return err
	}
	return t.remember(r, &h)
}

// endUpload drops the parts of an upload that is gone, unless the key's object
// was made of them.
func (t *tx) endUpload(r *segment.Record) error {
	if r.Incarnation != System || t.replay {
		return nil
	}
	inc, key, id, ok := parseUpload(r.Key)
	if !ok {
		return nil
	}
	v, err := t.get(appendKey(nil, spaceObject, inc, key))
	if err != nil {
		return err
	}
	if v != nil {
		e, err := parseEntry(v)
		if err != nil {
			return err
		}
		if b, _, ok := ParseBody(e.Attrs); ok && b.Shape == Parts && b.Upload == id {
			return nil
		}
	}
	return t.dropParts(id, nil)
}

// extent applies one extent of a body whose commit may follow.
func (t *tx) extent(r *segment.Record) error {
	number, n := binary.Uvarint(r.Attrs)
	if n <= 0 {
		return fmt.Errorf("%w: attributes of an extent", ErrDamaged)
	}
	key := extentKey(r.Stage, uint32(number))
	v, err := t.get(key)
	if err != nil {
		return err
	}
	if v == nil && r.Copy {
		t.dead(r.Loc) // its body died meanwhile
		return nil
	}
	if v != nil {
		old, err := parseExtent(v)
		if err != nil {
			return err
		}
		if !old.Loc.Less(r.Loc) {
			if old.Loc != r.Loc {
				t.dead(r.Loc)
			}
			return nil
		}
		t.dead(old.Loc)
	}
	return t.set(key, appendExtent(nil, &Extent{Loc: r.Loc, Incarnation: r.Incarnation, Key: r.Key}))
}

// fence ends another segment.
func (t *tx) fence(r *segment.Record) error {
	id, end, ok := segment.ParseDirectory(r.Attrs, func(segment.Listed) {})
	if !ok {
		return fmt.Errorf("%w: attributes of a fence", ErrDamaged)
	}
	s := t.state(id)
	if s == nil && r.Copy {
		t.dead(r.Loc) // the fenced segment is gone
		return nil
	}
	if s == nil {
		s = &State{}
		t.states[id] = s
	}
	s.Sealed, s.End = true, end
	return nil
}
