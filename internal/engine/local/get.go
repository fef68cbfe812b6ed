package local

import (
	"context"
	"errors"
	"io"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// pinned is a record that stays where it is until it is closed.
type pinned struct {
	seg *segment.Segment
	loc segment.Location
}

// pin pins a record. s.lookups has been held shared since it was looked up, so
// that whoever reclaims its space can wait for it.
func (s *Store) pin(loc segment.Location) (pinned, error) {
	seg, err := s.segs.Pin(loc)
	return pinned{seg, loc}, err
}

func (p pinned) unpin() { p.seg.Unpin(p.loc) }

// retry runs look again when the record that it found had just been moved.
func (s *Store) retry(look func() error) error {
	var err error
	for range 100 {
		if err = look(); !errors.Is(err, segment.ErrGone) {
			return err
		}
	}
	return err
}

// readAll appends a record's whole body to body, which is empty.
func (s *Store) readAll(p pinned, body []byte) ([]byte, error) {
	r := s.reader()
	defer s.readers.Put(r)
	if err := r.Open(p.seg, p.loc, 0); err != nil {
		return nil, err
	}
	defer r.Close()
	for len(body) < int(p.loc.BodyLen) {
		b, err := r.Block(int64(len(body)))
		if err != nil {
			return nil, err
		}
		body = append(body, b...)
	}
	return body, nil
}

func (s *Store) reader() *segment.Reader {
	r, _ := s.readers.Get().(*segment.Reader)
	return r
}

// Head implements object.Store.
func (s *Store) Head(_ context.Context, bucket object.BucketName, key object.Key) (object.Info, error) {
	const op = "head object"
	b, err := s.bucket(op, bucket)
	if err != nil {
		return object.Info{}, err
	}
	info, _, _, err := s.lookup(b, key)
	return info, wrapObject(op, bucket, key, err)
}

// lookup returns a key's current record, or NotFound.
func (s *Store) lookup(b *bucket, key object.Key) (object.Info, index.Body, index.Entry, error) {
	e, ok, err := s.index.Object(b.incarnation, []byte(key))
	if err == nil && !ok {
		err = fault.Missing(fault.Object, path(b.info.Name, key))
	}
	if err != nil {
		return object.Info{}, index.Body{}, index.Entry{}, err
	}
	info, body, err := parseInfo(b.info.Name, key, &e, false)
	return info, body, e, err
}

// Get implements object.Store.
func (s *Store) Get(_ context.Context, req object.GetRequest) (*object.Reader, error) {
	const op = "get object"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return nil, err
	}
	r, err := s.get(b, &req)
	return r, wrapObject(op, req.Bucket, req.Key, err)
}

func (s *Store) get(b *bucket, req *object.GetRequest) (r *object.Reader, err error) {
	err = s.retry(func() error {
		r, err = s.openObject(b, req)
		return err
	})
	return r, err
}

// openObject looks a key up, pins what is to be read and reads the first block, so that
// damage there is found before anything is promised.
func (s *Store) openObject(b *bucket, req *object.GetRequest) (*object.Reader, error) {
	info, pieces, offset, length, err := s.find(b, req)
	if err != nil {
		if info.Key != "" {
			return &object.Reader{Info: info}, err // a condition: the caller learns what it was compared with
		}
		return nil, err
	}
	body := &body{store: s, bucket: req.Bucket, key: req.Key, pieces: pieces, left: length}
	if err := body.advance(); err != nil {
		_ = body.Close()
		return nil, err
	}
	return &object.Reader{Info: info, Offset: offset, Length: length, Body: body}, nil
}

// find resolves a request to the pieces that hold the bytes, pinned.
func (s *Store) find(b *bucket, req *object.GetRequest) (info object.Info, pieces []piece, offset, length int64, err error) {
	s.lookups.RLock()
	defer s.lookups.RUnlock()
	info, content, e, err := s.lookup(b, req.Key)
	if err != nil {
		return object.Info{}, nil, 0, 0, err
	}
	if !req.If.Empty() {
		if err := req.If.CheckRead(&info); err != nil {
			return info, nil, 0, 0, err
		}
	}
	offset, length, err = s.span(req, &info, &content)
	if err != nil {
		return object.Info{}, nil, 0, 0, err
	}
	pieces, err = s.pieces(&e, &content, offset, length)
	if errors.Is(err, segment.ErrDamaged) && s.replaced(b, req.Key, &e) {
		err = segment.ErrGone // what the old state consisted of went with it
	}
	if err != nil {
		return object.Info{}, nil, 0, 0, err
	}
	return info, pieces, offset, length, nil
}

// replaced reports whether e is no longer the key's current record.
func (s *Store) replaced(b *bucket, key object.Key, e *index.Entry) bool {
	now, ok, err := s.index.Object(b.incarnation, []byte(key))
	return err == nil && (!ok || now.Seq != e.Seq)
}

// span is the part of the object that the request asks for.
func (s *Store) span(req *object.GetRequest, info *object.Info, content *index.Body) (offset, length int64, err error) {
	if req.Part <= 0 {
		return req.Range.Resolve(info.Size)
	}
	if content.Shape != index.Parts {
		if req.Part == 1 {
			return 0, info.Size, nil
		}
		return 0, 0, fault.New(fault.Invalid, fault.Range, "")
	}
	for _, p := range content.Parts {
		if p.Number == req.Part {
			return offset, p.Size, nil
		}
		offset += p.Size
	}
	return 0, 0, fault.New(fault.Invalid, fault.Range, "")
}

// piece is a run of bytes in one record's body.
type piece struct {
	pinned
	from, to int64
}

// pieces pins the records that hold length bytes at offset. On error none stays
// pinned.
func (s *Store) pieces(e *index.Entry, content *index.Body, offset, length int64) (all []piece, err error) {
	if length == 0 {
		return nil, nil
	}
	g := gatherer{store: s, skip: offset, left: length}
	switch content.Shape {
	case index.Inline:
		err = g.add(e.Loc)
	case index.Extents:
		err = g.extents(e.Stage)
	case index.Parts:
		err = g.parts(content)
	}
	if err == nil && g.left > 0 {
		err = segment.ErrDamaged // the records hold less than the object's size
	}
	if err != nil {
		for _, p := range g.all {
			p.unpin()
		}
		return nil, err
	}
	return g.all, nil
}

// gatherer collects the pieces of a span.
type gatherer struct {
	store *Store
	skip  int64 // bytes before the span
	left  int64 // bytes of it to come
	all   []piece
}

func (g *gatherer) add(loc segment.Location) error {
	size := int64(loc.BodyLen)
	if g.skip >= size || g.left == 0 {
		g.skip -= min(g.skip, size)
		return nil
	}
	p, err := g.store.pin(loc)
	if err != nil {
		return err
	}
	to := min(size, g.skip+g.left)
	g.all = append(g.all, piece{pinned: p, from: g.skip, to: to})
	g.left -= to - g.skip
	g.skip = 0
	return nil
}

func (g *gatherer) extents(stage uint64) error {
	all, err := g.store.index.Extents(stage)
	if err != nil {
		return err
	}
	for i, e := range all {
		if int(e.Number) != i {
			return segment.ErrDamaged
		}
		if err := g.add(e.Loc); err != nil {
			return err
		}
	}
	return nil
}

func (g *gatherer) parts(content *index.Body) error {
	for _, p := range content.Parts {
		if g.left == 0 {
			return nil
		}
		if g.skip >= p.Size {
			g.skip -= p.Size
			continue
		}
		e, ok, err := g.store.index.Object(index.System, index.Part(content.Upload, p.Number))
		if err != nil {
			return err
		}
		if !ok || e.Seq != p.Seq {
			return segment.ErrDamaged
		}
		b, _, ok := index.ParseBody(e.Attrs)
		switch {
		case !ok || b.Shape == index.Parts:
			return segment.ErrDamaged
		case b.Shape == index.Inline:
			err = g.add(e.Loc)
		default:
			err = g.extents(e.Stage)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// body reads pieces one after another. It is for one goroutine.
type body struct {
	store  *Store
	bucket object.BucketName // for faults, as is key
	key    object.Key
	pieces []piece // still to be read, the first through reader if that is open
	reader *segment.Reader
	chunk  []byte // verified, not yet returned
	left   int64  // bytes to return
	err    error
}

var errClosedBody = errors.New("the body is closed")

// advance makes chunk hold the next bytes, if there are any left.
func (b *body) advance() error {
	if len(b.chunk) > 0 || b.left == 0 || b.err != nil {
		return b.err
	}
	if len(b.pieces) == 0 {
		b.err = wrapObject("read object", b.bucket, b.key, segment.ErrDamaged)
		return b.err
	}
	p := &b.pieces[0]
	var err error
	if b.reader == nil {
		b.reader = b.store.reader()
		if err = b.reader.Open(p.seg, p.loc, p.from); err != nil {
			b.leave()
			b.pieces = b.pieces[1:] // its pin is gone
			b.err = wrapObject("read object", b.bucket, b.key, err)
			return b.err
		}
	}
	b.chunk, err = b.reader.Block(p.from)
	if err != nil {
		b.err = wrapObject("read object", b.bucket, b.key, err)
		return b.err
	}
	b.chunk = b.chunk[:min(int64(len(b.chunk)), p.to-p.from)]
	p.from += int64(len(b.chunk))
	return nil
}

// consume takes n bytes off the chunk and leaves a record that is read.
func (b *body) consume(n int) {
	b.chunk = b.chunk[n:]
	b.left -= int64(n)
	if len(b.chunk) == 0 && len(b.pieces) > 0 && b.pieces[0].from == b.pieces[0].to {
		b.leave()
		b.pieces = b.pieces[1:]
	}
}

func (b *body) leave() {
	if b.reader != nil {
		b.reader.Close()
		b.store.readers.Put(b.reader)
		b.reader = nil
	} else if len(b.pieces) > 0 {
		b.pieces[0].unpin()
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if err := b.advance(); err != nil {
		return 0, err
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.chunk)
	b.consume(n)
	return n, nil
}

// WriteTo implements io.WriterTo. Each block is verified before it is written.
func (b *body) WriteTo(w io.Writer) (total int64, err error) {
	for b.left > 0 {
		if err := b.advance(); err != nil {
			return total, err
		}
		n, err := w.Write(b.chunk)
		b.consume(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, b.err
}

// Close unpins what was not read. It may be called twice.
func (b *body) Close() error {
	b.chunk = nil
	for len(b.pieces) > 0 {
		b.leave()
		b.pieces = b.pieces[1:]
	}
	if b.err == nil && b.left > 0 {
		b.err = errClosedBody
	}
	return nil
}
