package segment

import (
	"errors"
)

// ErrClosed is returned by Append after Close.
var ErrClosed = errors.New("the segments are closed")

// groupBytes is about how much one sync covers at most.
const groupBytes = 32 << 20

// op is the records of one Append, which stay together.
type op struct {
	recs   []*Record
	err    error
	wake   chan bool // true: lead the next group with writer
	writer *writer
}

// Append writes records behind one another into one segment and returns when
// they are durable and applied. On error none of them counts, now or after a
// restart.
func (s *Set) Append(recs ...*Record) error {
	o := &op{recs: recs}
	s.mu.Lock()
	if err := s.refused(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.pending = append(s.pending, o)
	w := s.takeIdle()
	if w == nil {
		o.wake = make(chan bool, 1)
	}
	s.mu.Unlock()
	if w == nil {
		if lead := <-o.wake; !lead {
			return o.err
		}
		w = o.writer
	}
	s.lead(w)
	return o.err
}

// refused says why nothing may be appended. s.mu is held.
func (s *Set) refused() error {
	if s.closed {
		return ErrClosed
	}
	return s.failed
}

// takeIdle returns a writer that nobody uses, nil if all are busy. s.mu is held.
func (s *Set) takeIdle() *writer {
	if n := len(s.idle); n > 0 {
		w := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return w
	}
	if s.writers < s.cfg.Segments {
		s.writers++
		return &writer{set: s}
	}
	return nil
}

// lead writes one group with w for all that wait, then passes w on.
func (s *Set) lead(w *writer) {
	s.mu.Lock()
	group := s.take()
	failed := s.failed
	s.mu.Unlock()

	err := failed
	if err == nil {
		err = w.commit(group)
	}
	for _, o := range group {
		o.err = err
		if o.wake != nil && o.writer == nil {
			o.wake <- false // the leader itself has no channel, or was woken before
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 {
		heir := s.pending[0]
		heir.writer = w
		heir.wake <- true
		return
	}
	s.idle = append(s.idle, w)
	if s.closed && len(s.idle) == s.writers {
		close(s.drained)
	}
}

// take removes the next group from the queue. s.mu is held.
func (s *Set) take() []*op {
	var size int64
	for i, o := range s.pending {
		for _, r := range o.recs {
			size += int64(len(r.Body)) + int64(len(r.Attrs))
		}
		if size > groupBytes && i > 0 {
			group := s.pending[:i:i]
			s.pending = s.pending[i:]
			return group
		}
	}
	group := s.pending
	s.pending = nil
	return group
}

// fail makes every later Append return err.
func (s *Set) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// Close waits for the appends that have begun, seals the open segments and
// closes all files. It may be called twice.
func (s *Set) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if len(s.idle) == s.writers {
		close(s.drained)
	}
	s.mu.Unlock()
	<-s.drained

	var errs []error
	for _, w := range s.idle { // nobody else uses them any more
		if w.seg != nil && s.failed == nil {
			errs = append(errs, w.seal())
		}
		errs = append(errs, w.close())
	}
	return errors.Join(append(errs, s.closeHandles())...)
}
