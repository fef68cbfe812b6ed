package local

import (
	"context"
	"errors"
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
		return object.Info{}, wrapObject(op, req.Bucket, req.Key, err)
	}
	info := object.Info{
		Bucket: req.Bucket, Key: req.Key, Size: st.size, Digest: req.Content.Digest(),
		Meta: req.Meta, Tags: slices.Clone(req.Tags),
	}
	info.Meta.User = maps.Clone(req.Meta.User)
	if err := ctx.Err(); err != nil {
		st.abandon()
		return object.Info{}, wrapObject(op, req.Bucket, req.Key, err)
	}
	info, err = s.commit(b, &change{info: info, staged: st, when: req.If})
	if err != nil {
		st.abandon()
		return object.Info{}, wrapObject(op, req.Bucket, req.Key, err)
	}
	st.commit()
	return info, nil
}

// change is a key's new state, ready to be committed.
type change struct {
	info   object.Info
	staged *staged
	when   object.Precondition
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

	current, _, lost, err := s.current(b, c.info.Key)
	if err != nil {
		return object.Info{}, err
	}
	if err := checkWrite(&c.when, c.info.Key, current, lost); err != nil {
		return object.Info{}, err
	}
	rec := &segment.Record{Header: segment.Header{Kind: segment.Put, Incarnation: b.incarnation, Key: key}}
	body := c.staged.body(rec)
	if err := s.write(b, current, &c.info, &body, rec); err != nil {
		return object.Info{}, err
	}
	return c.info, nil
}

// write draws the version of info, which replaces current (nil if there is
// nothing), and makes it durable within the quota. The key is locked. more
// records count together with the first.
func (s *Store) write(b *bucket, current, info *object.Info, body *index.Body, rec *segment.Record, more ...*segment.Record) error {
	var old int64
	if current != nil {
		old = current.Size
	}
	settle, exempt, err := b.reserve(info.Key, old, info.Size)
	if err != nil {
		return err
	}
	rec.Seq = s.seq.Add(1) // never the clock: the highest seq of a key wins, live and at replay
	info.Version, info.Modified = object.Version(rec.Seq), s.now()
	rec.Attrs = appendInfo(index.AppendBody(make([]byte, 0, usualAttrs), body), info)
	if len(more) > 0 {
		rec.Flags |= segment.Chained
	}
	recs := append([]*segment.Record{rec}, more...)
	if exempt {
		size, content := grows(recs)
		err = s.appendAnyway(size, content, recs)
	} else {
		err = s.append(recs...)
	}
	settle(err == nil)
	return err
}

// usualAttrs is room for the attributes of most objects.
const usualAttrs = 192

// current returns a key's state, nil if it has none. lost is true if a newer one
// was lost to damage: whoever writes the key makes it whole again.
func (s *Store) current(b *bucket, key object.Key) (info *object.Info, e *index.Entry, lost bool, err error) {
	entry, ok, err := s.index.Object(b.incarnation, []byte(key))
	if lost = errors.Is(err, index.ErrLost); lost {
		err = nil
	}
	if err != nil || !ok {
		return nil, nil, lost, err
	}
	found, _, err := parseInfo(b.info.Name, key, &entry, false)
	if err != nil {
		return nil, nil, lost, err
	}
	return &found, &entry, lost, nil
}

// checkWrite evaluates a precondition, which nobody can of a state that is lost.
func checkWrite(when *object.Precondition, key object.Key, current *object.Info, lost bool) error {
	if lost && !when.Empty() {
		return index.ErrLost
	}
	return when.CheckWrite(key, current)
}

// Delete implements object.Store.
func (s *Store) Delete(_ context.Context, req object.DeleteRequest) error {
	const op = "delete object"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return err
	}
	return wrapObject(op, req.Bucket, req.Key, s.delete(b, req))
}

func (s *Store) delete(b *bucket, req object.DeleteRequest) error {
	leave, err := b.enter()
	if err != nil {
		return err
	}
	defer leave()
	key := []byte(req.Key)
	defer s.locks.lock(b.incarnation, key)()
	current, _, lost, err := s.current(b, req.Key)
	if err != nil {
		return err
	}
	if err := checkWrite(&req.If, req.Key, current, lost); err != nil {
		return err
	}
	if current == nil && !lost {
		return nil
	}
	var old int64
	if current != nil {
		old = current.Size
	}
	settle, _, err := b.reserve(req.Key, old, 0)
	if err != nil {
		return err
	}
	err = s.append(&segment.Record{Header: segment.Header{
		Kind: segment.Delete, Incarnation: b.incarnation, Key: key, Seq: s.seq.Add(1),
	}})
	settle(err == nil)
	return err
}
