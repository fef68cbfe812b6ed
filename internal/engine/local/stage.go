package local

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
)

// memory is the global budget of staged bodies, with buffers to reuse.
type memory struct {
	budget   *semaphore.Weighted
	patience time.Duration // of wait
	pools    [32]sync.Pool // of *buffer, by the logarithm of their size
}

// buffer is a piece of the budget.
type buffer struct{ b []byte }

const smallestBuffer = 16 << 10

func newMemory(total int64, patience time.Duration) *memory {
	return &memory{budget: semaphore.NewWeighted(total), patience: patience}
}

func class(n int) int { return bits.Len(uint(max(n, smallestBuffer) - 1)) }

// wait takes a buffer of at least n bytes, waiting for others to give theirs
// back, but not for ever: the error is Busy then. The caller holds no other.
func (m *memory) wait(ctx context.Context, n int) (*buffer, error) {
	if b := m.try(n); b != nil {
		return b, nil
	}
	patient, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	if err := m.budget.Acquire(patient, 1<<class(n)); err != nil {
		if ctx.Err() == nil {
			err = fault.Wrap(fault.Busy, fault.Store, "", errors.New("other bodies hold all memory"))
		}
		return nil, err
	}
	return m.take(class(n)), nil
}

// try takes a buffer of at least n bytes, nil if that would exceed the budget.
func (m *memory) try(n int) *buffer {
	if !m.budget.TryAcquire(1 << class(n)) {
		return nil
	}
	return m.take(class(n))
}

func (m *memory) take(c int) *buffer {
	if b, ok := m.pools[c].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 1<<c)}
}

func (m *memory) give(b *buffer) {
	if b == nil {
		return
	}
	c := class(len(b.b))
	m.pools[c].Put(b)
	m.budget.Release(1 << c)
}

// staged is a body that has been read: in memory, or in extents on the disk.
type staged struct {
	store *Store
	owner owner
	buf   *buffer
	n     int // bytes in buf
	size  int64

	stage   uint64 // of the extents, 0 if there are none
	extents uint32
}

// owner is the key that extents will belong to.
type owner struct {
	incarnation uint64
	key         []byte
}

// firstBuffer is what a body of unknown or large size begins with, so that a
// sender holds no more memory than what it has sent.
const firstBuffer = 256 << 10

// stage reads a body to its end. On error nothing of it is left.
func (s *Store) stage(ctx context.Context, r io.Reader, size int64, o owner) (*staged, error) {
	want := firstBuffer
	if size >= 0 {
		want = int(min(size, firstBuffer))
	}
	buf, err := s.memory.wait(ctx, want)
	if err != nil {
		return nil, err
	}
	st := &staged{store: s, owner: o, buf: buf}
	if err := st.fill(r, size); err != nil {
		st.abandon()
		return nil, err
	}
	return st, nil
}

func (st *staged) fill(r io.Reader, size int64) error {
	for idle := 0; ; {
		if st.n == min(len(st.buf.b), st.store.cfg.ExtentSize) && (size < 0 || st.size < size) {
			if err := st.room(); err != nil {
				return err
			}
		}
		dst := st.buf.b[st.n:min(len(st.buf.b), st.store.cfg.ExtentSize)]
		var extra [1]byte
		if size >= 0 && st.size+int64(len(dst)) > size {
			dst = dst[:size-st.size]
		}
		if len(dst) == 0 {
			dst = extra[:] // the promised bytes are there: only the end may follow
		}
		n, err := r.Read(dst)
		if n > 0 && size >= 0 && st.size+int64(n) > size {
			return fault.New(fault.Invalid, fault.Digest, "more bytes than announced")
		}
		if n > 0 && &dst[0] == &extra[0] {
			return fault.New(fault.Invalid, fault.Digest, "more bytes than announced")
		}
		st.n += n
		st.size += int64(n)
		if errors.Is(err, io.EOF) {
			return st.finish(size)
		}
		if err != nil {
			return err
		}
		if idle++; n > 0 {
			idle = 0
		} else if idle > 100 {
			return io.ErrNoProgress
		}
	}
}

// finish checks the length and sends the rest of a large body to its extents.
func (st *staged) finish(size int64) error {
	if size >= 0 && st.size != size {
		return fault.Wrap(fault.Invalid, fault.Digest, "fewer bytes than announced", io.ErrUnexpectedEOF)
	}
	if st.stage != 0 && st.n > 0 {
		return st.flush()
	}
	return nil
}

// room makes the buffer larger, or empties it to the disk when it is as large
// as an extent or there is no memory to be had.
func (st *staged) room() error {
	if len(st.buf.b) < st.store.cfg.ExtentSize {
		if b := st.store.memory.try(min(4*len(st.buf.b), st.store.cfg.ExtentSize)); b != nil {
			copy(b.b, st.buf.b[:st.n])
			st.store.memory.give(st.buf)
			st.buf = b
			return nil
		}
	}
	return st.flush()
}

// flush writes the buffer as the next extent.
func (st *staged) flush() error {
	if st.stage == 0 {
		st.stage = st.store.beginStage()
	}
	body := st.buf.b[:st.n]
	rec := &segment.Record{Header: segment.Header{
		Kind: segment.Extent, Incarnation: st.owner.incarnation, Key: st.owner.key,
		Seq: st.store.seq.Add(1), Stage: st.stage, Attrs: binary.AppendUvarint(nil, uint64(st.extents)),
	}, Body: body, Sums: segment.AppendSums(nil, body)}
	if err := st.store.append(rec); err != nil {
		return err
	}
	st.extents++
	st.n = 0
	return nil
}

// body describes the staged body, and puts it into rec.
func (st *staged) body(rec *segment.Record) index.Body {
	b := index.Body{Shape: index.Inline, Size: st.size}
	if st.stage != 0 {
		b.Shape = index.Extents
		rec.Stage = st.stage
		return b
	}
	rec.Body = st.buf.b[:st.n]
	rec.Sums = segment.AppendSums(nil, rec.Body)
	return b
}

// commit ends staging: what was staged belongs to a record now.
func (st *staged) commit() {
	if st.stage != 0 {
		st.store.endStage(st.stage)
		st.stage = 0
	}
	st.release()
}

// abandon ends staging and forgets what was staged.
func (st *staged) abandon() {
	if st.stage != 0 {
		st.store.dropStage(st.stage)
		st.stage = 0
	}
	st.release()
}

func (st *staged) release() {
	st.store.memory.give(st.buf)
	st.buf = nil
}
