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
	recs []*Record
	err  error
	wake chan duty // the zero duty: it is done
}

// duty is a group to write, and the writer to write it with.
type duty struct {
	writer *writer
	group  []*op
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
	d := duty{writer: s.takeIdle()}
	if d.writer != nil {
		d.group = []*op{o} // a writer is idle only while nobody waits
	} else {
		o.wake = make(chan duty, 1)
		s.pending = append(s.pending, o)
	}
	s.mu.Unlock()
	if d.writer == nil {
		if d = <-o.wake; d.writer == nil {
			return o.err
		}
	}
	s.lead(o, d)
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

// lead writes one group for all that are in it, then passes the writer on. o is
// the leader's own.
func (s *Set) lead(o *op, d duty) {
	s.mu.Lock()
	err := s.failed
	s.mu.Unlock()
	if err == nil {
		err = d.writer.commit(d.group)
	}
	for _, member := range d.group {
		member.err = err
		if member != o {
			member.wake <- duty{}
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 {
		group := s.take()
		group[0].wake <- duty{writer: d.writer, group: group}
		return
	}
	s.idle = append(s.idle, d.writer)
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

	errs := []error{s.failed} // a store that could not apply what it wrote is not closed in order
	if s.failed == nil {
		errs = append(errs, s.writeLastFences())
	}
	for _, w := range s.idle { // nobody else uses them any more
		if w.seg != nil && s.failed == nil {
			errs = append(errs, w.seal())
		}
		errs = append(errs, w.close())
	}
	return errors.Join(append(errs, s.closeHandles())...)
}

// writeLastFences writes the fences that no group has taken along, so that
// nothing is left that looks torn. Nobody appends any more.
func (s *Set) writeLastFences() error {
	if len(s.fences) == 0 {
		return nil
	}
	w := &writer{set: s}
	if len(s.idle) > 0 {
		w = s.idle[0]
	} else {
		s.idle = append(s.idle, w)
	}
	return w.ready(0)
}
