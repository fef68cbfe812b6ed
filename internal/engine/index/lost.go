package index

import (
	"encoding/binary"
	"errors"
)

// ErrLost is the fault of a key whose newest record is damaged, so that an older
// one must not be served for it.
var ErrLost = errors.New("the newest record of this key is damaged")

// Loss is a key whose newest record may be lost.
type Loss struct {
	Incarnation uint64
	Key         []byte
	Seq         uint64 // of the lost record
	Segment     uint64 // that it lay in
	Offset      int64
}

// Lose refuses reads of keys until their records are at least as new as the lost
// ones.
func (x *Index) Lose(losses []Loss) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	t := x.begin()
	for _, l := range losses {
		key := appendKey(nil, spaceLost, l.Incarnation, l.Key)
		old, err := t.get(key)
		if err != nil {
			return err
		}
		t.seq = max(t.seq, l.Seq)
		if old == nil {
			t.lost++
		} else if binary.LittleEndian.Uint64(old) >= l.Seq {
			continue
		}
		v := binary.LittleEndian.AppendUint64(nil, l.Seq)
		v = binary.LittleEndian.AppendUint64(v, l.Segment)
		if err := t.set(key, binary.LittleEndian.AppendUint64(v, uint64(l.Offset))); err != nil {
			return err
		}
	}
	return t.commit()
}

// LoseAll refuses reads of all keys but those with a greater seq than any that
// was drawn so far: records are lost, and nobody knows whose.
func (x *Index) LoseAll() error {
	x.applying.Lock()
	defer x.applying.Unlock()
	return x.setLostAll(x.seq)
}

func (x *Index) setLostAll(seq uint64) error {
	t := x.begin()
	if err := t.batch.Set(metaKey("lost"), binary.LittleEndian.AppendUint64(nil, seq), nil); err != nil {
		return err
	}
	if err := t.commit(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lostAll = seq
	return nil
}

// Losses returns what reads are refused for. all is true if that is every key.
func (x *Index) Losses() (losses []Loss, all bool, err error) {
	err = x.each([]byte{spaceLost}, func(key, value []byte) error {
		if len(value) != 24 {
			return errShort("loss", value)
		}
		losses = append(losses, Loss{
			Incarnation: binary.BigEndian.Uint64(key[1:]), Key: append([]byte(nil), key[9:]...),
			Seq: binary.LittleEndian.Uint64(value), Segment: binary.LittleEndian.Uint64(value[8:]),
			Offset: int64(binary.LittleEndian.Uint64(value[16:])),
		})
		return nil
	})
	x.mu.RLock()
	defer x.mu.RUnlock()
	return losses, x.lostAll != 0, err
}

// Accept ends the refusal of everything that is lost: from now on the newest
// record that there is counts.
func (x *Index) Accept() error {
	losses, _, err := x.Losses()
	if err != nil {
		return err
	}
	x.applying.Lock()
	defer x.applying.Unlock()
	t := x.begin()
	for _, l := range losses {
		t.lost--
		if err := t.delete(appendKey(nil, spaceLost, l.Incarnation, l.Key)); err != nil {
			return err
		}
	}
	if err := t.commit(); err != nil {
		return err
	}
	return x.setLostAll(0)
}

// Suspect reports whether anything is lost.
func (x *Index) Suspect() (some, all bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.lost > 0, x.lostAll != 0
}

// Lost returns ErrLost if a newer record of the key than seq, its current one's
// or 0, is lost.
func (x *Index) Lost(incarnation uint64, key []byte, seq uint64) error {
	x.mu.RLock()
	lost, all := x.lost, x.lostAll
	x.mu.RUnlock()
	if lost == 0 && all == 0 || seq > all && lost == 0 {
		return nil
	}
	if seq == 0 { // absent: its tombstone is what is newest
		v, err := x.get(appendKey(nil, spaceHistory, incarnation, key))
		if err != nil {
			return err
		}
		if v != nil {
			h, err := parseHistory(v)
			if err != nil {
				return err
			}
			seq = h.Seq
		}
	}
	if all != 0 && seq <= all {
		return ErrLost
	}
	v, err := x.get(appendKey(nil, spaceLost, incarnation, key))
	if err != nil || v == nil {
		return err
	}
	if len(v) < 8 || seq < binary.LittleEndian.Uint64(v) {
		return ErrLost
	}
	return nil
}
