package index

import (
	"encoding/binary"
)

// DropStage forgets the extents of a body that is not going to be committed.
func (x *Index) DropStage(stage uint64) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	t := x.begin()
	if err := t.dropExtents(stage); err != nil {
		return err
	}
	return t.commit()
}

// Sweep forgets extents and parts that belong to nobody: those of bodies that
// were never committed, and those whose owner's end replay saw before it saw
// them. Nothing may be written meanwhile.
func (x *Index) Sweep() error {
	x.applying.Lock()
	defer x.applying.Unlock()
	if err := x.sweepParts(); err != nil {
		return err
	}
	return x.sweepExtents()
}

// sweepParts forgets uploads that were completed, then parts that neither an
// upload nor an object needs.
func (x *Index) sweepParts() error {
	for id, after := (UploadID{}), []byte(nil); ; {
		number, next, ok, err := x.nextPart(after)
		if err != nil || !ok {
			return err
		}
		id = next
		if err := x.sweepUpload(id); err != nil {
			return err
		}
		_ = number
		after = successor(append([]byte{PartKey}, id[:]...))
		if after == nil {
			return nil
		}
	}
}

// nextPart finds the first part whose key is not smaller than after.
func (x *Index) nextPart(after []byte) (number int, id UploadID, ok bool, err error) {
	it, err := x.Iter(System, []byte{PartKey})
	if err != nil {
		return 0, id, false, err
	}
	if it.Seek(after) {
		id, number, ok = parsePart(it.Key())
	}
	return number, id, ok, it.Close()
}

// sweepUpload drops the parts of one upload that nobody needs.
func (x *Index) sweepUpload(id UploadID) error {
	t := x.begin()
	keep, all, err := t.needed(id)
	if err != nil || all {
		return err
	}
	if err := t.dropStale(id, keep); err != nil {
		return err
	}
	return t.commit()
}

// needed returns which parts of an upload its object lists, with their seqs; all
// is true while the upload is in progress.
func (t *tx) needed(id UploadID) (keep map[int]uint64, all bool, err error) {
	prefix := appendKey(nil, spaceObject, System, Part(id, 0)[:17])
	var owner Owner
	found := false
	err = t.x.each(prefix, func(_, value []byte) error {
		if found {
			return nil
		}
		e, err := parseEntry(value)
		if err != nil {
			return err
		}
		owner, found = PartOwner(e.Attrs)
		return nil
	})
	if err != nil || !found {
		return nil, false, err
	}
	v, err := t.get(appendKey(nil, spaceObject, System, Upload(owner.Incarnation, owner.Key, id)))
	if err != nil || v != nil {
		return nil, v != nil, err
	}
	v, err = t.get(appendKey(nil, spaceObject, owner.Incarnation, owner.Key))
	if err != nil || v == nil {
		return nil, false, err
	}
	e, err := parseEntry(v)
	if err != nil {
		return nil, false, err
	}
	b, _, ok := ParseBody(e.Attrs)
	if !ok || b.Shape != Parts || b.Upload != id {
		return nil, false, nil
	}
	keep = make(map[int]uint64, len(b.Parts))
	for _, p := range b.Parts {
		keep[p.Number] = p.Seq
	}
	return keep, false, nil
}

// dropStale forgets the parts of an upload that keep does not name.
func (t *tx) dropStale(id UploadID, keep map[int]uint64) error {
	numbers := make(map[int]bool, len(keep))
	err := t.eachChanged(appendKey(nil, spaceObject, System, Part(id, 0)[:17]), func(key, value []byte) error {
		e, err := parseEntry(value)
		if err != nil {
			return err
		}
		if _, number, ok := parsePart(key[9:]); ok && keep[number] == e.Seq && e.Seq != 0 {
			numbers[number] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.dropParts(id, numbers)
}

// Owner is the object that a part belongs to.
type Owner struct {
	Incarnation uint64
	Key         []byte
}

// AppendOwner appends the owner, which a part's attributes have behind the body.
func AppendOwner(dst []byte, o Owner) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, o.Incarnation)
	dst = binary.AppendUvarint(dst, uint64(len(o.Key)))
	return append(dst, o.Key...)
}

// ParseOwner decodes an owner and returns the rest.
func ParseOwner(b []byte) (o Owner, rest []byte, ok bool) {
	if len(b) < 9 {
		return o, nil, false
	}
	o.Incarnation = binary.LittleEndian.Uint64(b)
	n, w := binary.Uvarint(b[8:])
	if w <= 0 || n > uint64(len(b)-8-w) {
		return o, nil, false
	}
	b = b[8+w:]
	o.Key = append([]byte(nil), b[:n]...)
	return o, b[n:], true
}

// PartOwner returns the owner in a part's attributes.
func PartOwner(attrs []byte) (Owner, bool) {
	_, rest, ok := ParseBody(attrs)
	if !ok {
		return Owner{}, false
	}
	o, _, ok := ParseOwner(rest)
	return o, ok
}

// sweepExtents forgets the extents of stages that no key refers to.
func (x *Index) sweepExtents() error {
	var stages []uint64
	last := uint64(0)
	err := x.each([]byte{spaceExtent}, func(key, value []byte) error {
		stage := binary.BigEndian.Uint64(key[1:])
		if stage == last {
			return nil
		}
		last = stage
		e, err := parseExtent(value)
		if err != nil {
			return err
		}
		v, err := x.get(appendKey(nil, spaceObject, e.Incarnation, e.Key))
		if err != nil {
			return err
		}
		if v != nil {
			owner, err := parseEntry(v)
			if err != nil {
				return err
			}
			if owner.Stage == stage {
				return nil
			}
		}
		stages = append(stages, stage)
		return nil
	})
	if err != nil {
		return err
	}
	for _, stage := range stages {
		t := x.begin()
		if err := t.dropExtents(stage); err != nil {
			return err
		}
		if err := t.commit(); err != nil {
			return err
		}
	}
	return nil
}
