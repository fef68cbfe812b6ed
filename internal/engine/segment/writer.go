package segment

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	scratchSize    = 1 << 20   // of encoded records, before they are written
	copyLimit      = 256 << 10 // larger bodies are written from where they lie
	directoryLimit = 512       // records between two directories
)

// writer appends to one open segment. One goroutine uses it at a time.
type writer struct {
	set  *Set
	seg  *Segment // nil until the first group, and after a failure
	file vfs.File
	pos  int64 // where the next byte goes
	end  int64 // how far the segment is synced and applied

	out     []byte // encoded, belongs at pos - len(out)
	mac     []byte // scratch
	listed  []byte // entries of the next directory
	closing []byte // entries of directories that are not durable yet
	count   int    // of them
	records []*Record
}

// fence is a poisoned segment that still needs its fence written.
type fence struct {
	segment uint64
	end     int64
	listed  []byte
}

// commit writes, syncs and applies one group.
func (w *writer) commit(group []*op) error {
	var size int64
	for _, o := range group {
		for _, r := range o.recs {
			r.complete()
			size += alignUp(int64(r.HeaderLen)+int64(r.BodyLen), alignment)
		}
	}
	if err := w.ready(size); err != nil {
		return err
	}
	err := w.write(group)
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return w.takeBack(err)
	}
	if err := w.file.SyncData(); err != nil { // the acknowledgement below rests on this
		return w.poison(err)
	}
	return w.apply(false)
}

// takeBack erases what a failed write left behind the segment's end, durably, so
// that no refused record is found there after a restart. It needs no room on the
// disk. What cannot be erased is fenced.
func (w *writer) takeBack(cause error) error {
	cause = fmt.Errorf("write segment %d: %w", w.seg.id, cause)
	from := alignUp(w.end, alignment)
	err := w.set.fs.PunchHole(w.seg.path, from, max(w.pos-from, 0)+PageSize)
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		return w.poison(cause)
	}
	w.listed, w.count = w.durableListing()
	w.pos, w.out, w.records, w.closing = w.end, w.out[:0], nil, nil
	return cause
}

// ready makes sure that w has a segment with room, and that pending fences are
// on the disk before anything behind them is acknowledged.
func (w *writer) ready(size int64) error {
	if w.seg != nil && w.pos > firstRecord && w.pos+size > w.set.cfg.Size {
		if err := w.seal(); err != nil {
			return err
		}
	}
	if w.seg == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	return w.writeFences()
}

func (w *writer) open() error {
	fresh, err := w.set.create()
	if err != nil {
		return err
	}
	out, mac := w.out, w.mac
	*w = *fresh
	w.out, w.mac = out[:0], mac
	return nil
}

// writeFences writes the fences that wait, if there are any.
func (w *writer) writeFences() error {
	w.set.mu.Lock()
	fences := w.set.fences
	w.set.fences = nil
	w.set.mu.Unlock()
	if len(fences) == 0 {
		return nil
	}
	err := w.commitFences(fences)
	if err != nil {
		w.set.mu.Lock()
		w.set.fences = append(w.set.fences, fences...)
		w.set.mu.Unlock()
	}
	return err
}

func (w *writer) commitFences(fences []fence) error {
	var err error
	for _, f := range fences {
		r := &Record{Header: Header{Kind: Fence, Attrs: directoryAttrs(f.segment, f.end, f.listed)}}
		r.complete()
		err = errors.Join(err, w.put(r))
	}
	if err == nil {
		err = w.flush()
	}
	if err == nil {
		err = w.file.SyncData()
	}
	if err != nil {
		err = fmt.Errorf("write fences: %w", err)
		w.distrust()
		return errors.Join(err, w.close())
	}
	return w.apply(false)
}

// distrust notes that the segment ends at w.end, whatever lies behind it.
func (w *writer) distrust() {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	listed, _ := w.durableListing()
	w.set.fences = append(w.set.fences, fence{segment: w.seg.id, end: w.end, listed: listed})
}

// poison gives the segment up after a failed write or sync. What the failed
// group left in it may or may not reach the disk, so a fence in a new segment
// says where the old one ends, before the group's writers are told.
func (w *writer) poison(cause error) error {
	cause = fmt.Errorf("write segment %d: %w", w.seg.id, cause)
	w.distrust()
	_ = w.close()
	if err := w.open(); err != nil {
		return errors.Join(cause, err)
	}
	return errors.Join(cause, w.writeFences())
}

// durableListing returns the directory entries, and their number, of records
// before w.end that no durable directory lists.
func (w *writer) durableListing() (listed []byte, count int) {
	_, _, _ = ParseDirectory(directoryAttrs(w.seg.id, 0, append(w.closing, w.listed...)), func(l Listed) {
		if l.Offset < w.end {
			listed = appendListed(listed, &l)
			count++
		}
	})
	return listed, count
}

// Fence notes that an older segment, which a start found unsealed, ends at end.
// The fence is written with the next group, before that is acknowledged. found
// are the records that the segment's own directories do not list.
func (s *Set) Fence(id uint64, end int64, found []Listed) {
	var listed []byte
	for _, l := range found {
		listed = appendListed(listed, &l)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fences = append(s.fences, fence{segment: id, end: end, listed: listed})
}

// write encodes and writes the records of a group, and directories as they fall
// due.
func (w *writer) write(group []*op) error {
	for _, o := range group {
		for _, r := range o.recs {
			if err := w.put(r); err != nil {
				return err
			}
			if w.count < directoryLimit || r.Flags&Chained != 0 {
				continue
			}
			if err := w.putDirectory(0); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete fills in the header fields that follow from the others.
func (r *Record) complete() {
	r.sums = r.Sums
	r.HeaderLen = uint32(fixedSize + len(r.Key) + len(r.Attrs) + len(r.Sums))
	r.BodyLen = uint32(len(r.Body))
}

// put appends one record to the output.
func (w *writer) put(r *Record) error {
	size := alignUp(int64(r.HeaderLen)+int64(r.BodyLen), alignment)
	at := place(w.pos, size)
	r.Base = w.end
	r.Loc = Location{Segment: w.seg.id, Offset: at, HeaderLen: r.HeaderLen, BodyLen: r.BodyLen}
	w.pad(at)
	before := len(w.out)
	w.out, w.mac = w.seg.appendHeader(w.out, w.mac, &r.Header, at)
	w.pos += int64(len(w.out) - before)
	if err := w.body(r.Body); err != nil {
		return err
	}
	w.pad(at + size)
	l := List(&r.Header, r.Loc)
	w.listed = appendListed(w.listed, &l)
	w.count++
	w.records = append(w.records, r)
	if len(w.out) >= scratchSize {
		return w.flush()
	}
	return nil
}

// pad appends zeros up to the offset to.
func (w *writer) pad(to int64) {
	var zeros [PageSize]byte
	w.out = append(w.out, zeros[:to-w.pos]...)
	w.pos = to
}

func (w *writer) body(body []byte) error {
	if len(body) <= copyLimit {
		w.out = append(w.out, body...)
		w.pos += int64(len(body))
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	at := w.pos
	w.pos += int64(len(body)) // also when it fails half way: that is taken back
	_, err := w.file.WriteAt(body, at)
	return err
}

// flush writes what is encoded.
func (w *writer) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.file.WriteAt(w.out, w.pos-int64(len(w.out)))
	w.out = w.out[:0]
	return err
}

// putDirectory appends a directory of the records since the one before.
func (w *writer) putDirectory(flags uint8) error {
	r := &Record{Header: Header{Kind: Directory, Flags: flags, Seq: w.set.cfg.Seq()}}
	r.Attrs = directoryAttrs(w.seg.id, w.pos, w.listed)
	r.complete()
	w.closing = append(w.closing, w.listed...)
	w.listed, w.count = nil, 0
	return w.put(r)
}

// apply hands the group to the owner's index and advances end.
func (w *writer) apply(sealed bool) error {
	records := w.records
	w.records = nil
	err := w.set.cfg.Apply(&Group{Segment: w.seg.id, Records: records, End: w.pos, Sealed: sealed})
	if err != nil {
		err = fmt.Errorf("apply segment %d: %w", w.seg.id, err)
		w.set.fail(err)
		return err
	}
	w.end, w.closing = w.pos, nil
	return nil
}

// seal ends the segment with its last directory and closes it.
func (w *writer) seal() error {
	err := w.putDirectory(Closing)
	if err == nil {
		err = w.putDirectory(Last)
	}
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return w.takeBack(err)
	}
	if err := w.file.SyncData(); err != nil {
		return w.poison(err)
	}
	if err := w.apply(true); err != nil {
		return err
	}
	return w.close()
}

// close closes the segment's file and forgets the segment.
func (w *writer) close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	*w = writer{set: w.set, out: w.out[:0], mac: w.mac}
	return err
}
