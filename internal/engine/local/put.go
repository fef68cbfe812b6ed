package local

import (
	"context"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// Put implements object.Store.
func (s *Store) Put(ctx context.Context, req object.PutRequest) (object.Info, error) {
	const op = "put object"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return object.Info{}, err
	}
	if req.Size > object.MaxPutSize {
		return object.Info{}, &fault.Error{Kind: fault.TooLarge, Noun: fault.Object, Op: op, Name: path(req.Bucket, req.Key)}
	}
	st, err := s.stage(ctx, req.Content, req.Size, owner{b.incarnation, []byte(req.Key)})
	if err != nil {
		return object.Info{}, wrap(op, fault.Object, path(req.Bucket, req.Key), err)
	}
	info := object.Info{
		Bucket: req.Bucket, Key: req.Key, Size: st.size, Digest: req.Content.Digest(),
		Meta: req.Meta, Tags: slices.Clone(req.Tags),
	}
	info.Meta.User = maps.Clone(req.Meta.User)
	if err := ctx.Err(); err != nil {
		st.abandon()
		return object.Info{}, wrap(op, fault.Object, path(req.Bucket, req.Key), err)
	}
	info, err = s.commit(b, &change{info: info, staged: st, when: req.If})
	if err != nil {
		st.abandon()
		return object.Info{}, wrap(op, fault.Object, path(req.Bucket, req.Key), err)
	}
	st.commit()
	return info, nil
}

// change is a key's new state, ready to be committed.
type change struct {
	info   object.Info
	staged *staged
	when   object.Precondition

	// keep, if set, is called with the current state instead of drawing a new
	// version and modification time, and may refuse.
	keep func(current *object.Info, e *index.Entry) error
}

// commit decides the preconditions, draws the version and makes the change
// durable, all under the key's lock: no answer rests on an undurable write.
func (s *Store) commit(b *bucket, c *change) (object.Info, error) {
	leave, err := b.enter()
	if err != nil {
		return object.Info{}, err
	}
	defer leave()
	key := []byte(c.info.Key)
	defer s.locks.lock(b.incarnation, key)()

	current, e, err := s.current(b, c.info.Key)
	if err != nil {
		return object.Info{}, err
	}
	if err := c.when.CheckWrite(c.info.Key, current); err != nil {
		return object.Info{}, err
	}
	var old int64
	if current != nil {
		old = current.Size
	}
	settle, err := b.reserve(c.info.Key, old, c.info.Size)
	if err != nil {
		return object.Info{}, err
	}
	rec, err := s.record(b, c, current, e)
	if err == nil {
		err = s.append(rec)
	}
	settle(err == nil)
	if err != nil {
		return object.Info{}, err
	}
	return c.info, nil
}

// record draws the version and encodes the change.
func (s *Store) record(b *bucket, c *change, current *object.Info, e *index.Entry) (*segment.Record, error) {
	rec := &segment.Record{Header: segment.Header{Kind: segment.Put, Incarnation: b.incarnation, Key: []byte(c.info.Key)}}
	rec.Seq = s.seq.Add(1) // never the clock: the highest seq of a key wins, live and at replay
	c.info.Version, c.info.Modified = object.Version(rec.Seq), s.now()
	if c.keep != nil {
		if err := c.keep(current, e); err != nil {
			return nil, err
		}
	}
	body := c.staged.body(rec)
	rec.Attrs = appendInfo(index.AppendBody(nil, &body), &c.info)
	return rec, nil
}

// current returns a key's state, nil if it has none. A key whose newest record
// is lost counts as absent: whoever writes it makes it whole again.
func (s *Store) current(b *bucket, key object.Key) (*object.Info, *index.Entry, error) {
	e, ok, err := s.index.Object(b.incarnation, []byte(key))
	if err != nil || !ok {
		return nil, nil, err
	}
	info, _, err := parseInfo(b.info.Name, key, &e, false)
	if err != nil {
		return nil, nil, err
	}
	return &info, &e, nil
}

// Delete implements object.Store.
func (s *Store) Delete(_ context.Context, req object.DeleteRequest) error {
	const op = "delete object"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return err
	}
	return wrap(op, fault.Object, path(req.Bucket, req.Key), s.delete(b, req))
}

func (s *Store) delete(b *bucket, req object.DeleteRequest) error {
	leave, err := b.enter()
	if err != nil {
		return err
	}
	defer leave()
	key := []byte(req.Key)
	defer s.locks.lock(b.incarnation, key)()
	current, _, err := s.current(b, req.Key)
	if err != nil {
		return err
	}
	if err := req.If.CheckWrite(req.Key, current); err != nil {
		return err
	}
	if current == nil {
		return nil
	}
	settle, err := b.reserve(req.Key, current.Size, 0)
	if err != nil {
		return err
	}
	err = s.append(&segment.Record{Header: segment.Header{
		Kind: segment.Delete, Incarnation: b.incarnation, Key: key, Seq: s.seq.Add(1),
	}})
	settle(err == nil)
	return err
}
