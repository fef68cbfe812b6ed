package index

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/larder-cache/larder/internal/engine/segment"
)

// Fate is what compaction does with a record.
type Fate uint8

// The fates.
const (
	Dead Fate = iota // nothing refers to it
	Live             // it is copied before its segment goes
)

// Fate says whether a record that a scan found is still needed.
func (x *Index) Fate(f *segment.Found) (Fate, error) {
	switch f.Kind {
	case segment.Put:
		v, err := x.get(appendKey(nil, spaceObject, f.Incarnation, f.Key))
		if err != nil || v == nil {
			return Dead, err
		}
		e, err := parseEntry(v)
		return alive(e.Loc == f.Loc), err
	case segment.Delete:
		v, err := x.get(appendKey(nil, spaceHistory, f.Incarnation, f.Key))
		if err != nil || v == nil {
			return Dead, err
		}
		h, err := parseHistory(v)
		return alive(h.Loc == f.Loc && h.Seq == f.Seq && h.needed()), err // the tombstone rule
	case segment.Extent:
		number, n := binary.Uvarint(f.Attrs)
		if n <= 0 {
			return Dead, fmt.Errorf("%w: attributes of an extent", ErrDamaged)
		}
		v, err := x.get(extentKey(f.Stage, uint32(number)))
		if err != nil || v == nil {
			return Dead, err
		}
		e, err := parseExtent(v)
		return alive(e.Loc == f.Loc), err
	case segment.Directory:
		return Dead, nil
	case segment.Fence:
		id, _, ok := segment.ParseDirectory(f.Attrs, func(segment.Listed) {})
		if !ok {
			return Dead, fmt.Errorf("%w: attributes of a fence", ErrDamaged)
		}
		_, known := x.State(id)
		return alive(known), nil
	}
	return Dead, fmt.Errorf("%w: record of kind %d", ErrDamaged, f.Kind)
}

func alive(yes bool) Fate {
	if yes {
		return Live
	}
	return Dead
}

// Change changes what is known of a segment.
func (x *Index) Change(id uint64, change func(*State)) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	t := x.begin()
	s := t.state(id)
	if s == nil {
		return nil
	}
	change(s)
	return t.commit()
}

// DeadKey is a dead record of a key, as compaction remembers it of a segment that
// it removes.
type DeadKey struct {
	Incarnation uint64
	Key         []byte
}

// Forget removes a segment whose file is gone from the accounts: its state, and
// the traces of the dead records that it held. keys names them; nil means that
// they are to be searched for.
func (x *Index) Forget(id uint64, keys []DeadKey) error {
	if keys == nil {
		return x.forgetAll(id)
	}
	for len(keys) > forgetBatch {
		if err := x.forget(id, keys[:forgetBatch], false); err != nil {
			return err
		}
		keys = keys[forgetBatch:]
	}
	return x.forget(id, keys, true)
}

// forgetBatch is how many keys are changed at once.
const forgetBatch = 1000

// forgetAll searches the histories for those that name the segment.
func (x *Index) forgetAll(id uint64) error {
	var keys []DeadKey
	err := x.each([]byte{spaceHistory}, func(key, value []byte) error {
		h, err := parseHistory(value)
		if err != nil || h.Loc.Segment != id && !slices.Contains(h.Segments, id) {
			return err
		}
		keys = append(keys, DeadKey{binary.BigEndian.Uint64(key[1:]), append([]byte(nil), key[9:]...)})
		if len(keys) < forgetBatch {
			return nil
		}
		err = x.forget(id, keys, false)
		keys = keys[:0]
		return err
	})
	if err != nil {
		return err
	}
	return x.forget(id, keys, true)
}

func (x *Index) forget(id uint64, keys []DeadKey, last bool) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	t := x.begin()
	for _, k := range keys {
		if err := t.forgetKey(id, k); err != nil {
			return err
		}
	}
	if last {
		t.gone = map[uint64]bool{id: true}
		delete(t.states, id)
	}
	return t.commit()
}

func (t *tx) forgetKey(id uint64, k DeadKey) error {
	key := appendKey(nil, spaceHistory, k.Incarnation, k.Key)
	v, err := t.get(key)
	if err != nil || v == nil {
		return err
	}
	h, err := parseHistory(v)
	if err != nil {
		return err
	}
	h.remove(id)
	if h.Seq != 0 && h.Loc.Segment == id {
		h.Seq, h.Loc = 0, segment.Location{}
	}
	switch {
	case len(h.Segments) > 0:
		return t.set(key, h.append(nil))
	case h.Seq != 0:
		t.dead(h.Loc) // it hides nothing any more
	}
	return t.delete(key)
}
