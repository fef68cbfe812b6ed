package local

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// sourced is a body whose digest is known.
type sourced struct {
	io.Reader
	digest object.Digest
}

func (c *sourced) Digest() object.Digest { return c.digest }

// Copy implements object.Store. A copy onto itself that keeps the digest copies
// no extents and no parts.
func (s *Store) Copy(ctx context.Context, req object.CopyRequest) (object.Info, error) {
	const op = "copy object"
	to, err := s.bucket(op, req.Bucket)
	if err != nil {
		return object.Info{}, err
	}
	from, err := s.bucket(op, req.SourceBucket)
	if err != nil {
		return object.Info{}, err
	}
	var info object.Info
	if from == to && req.SourceKey == req.Key && req.Digest == nil {
		info, err = s.restate(ctx, to, &req)
	} else {
		info, err = s.copy(ctx, from, to, &req)
	}
	return info, wrap(op, fault.Object, path(req.Bucket, req.Key), err)
}

func (s *Store) copy(ctx context.Context, from, to *bucket, req *object.CopyRequest) (object.Info, error) {
	r, err := s.get(from, &object.GetRequest{Bucket: req.SourceBucket, Key: req.SourceKey, If: req.SourceIf})
	if err != nil {
		return object.Info{}, err
	}
	defer func() { _ = r.Body.Close() }()
	var content object.Content = &sourced{Reader: r.Body, digest: r.Info.Digest}
	if req.Digest != nil {
		content = req.Digest(r.Body)
	}
	st, err := s.stage(ctx, content, r.Length, owner{to.incarnation, []byte(req.Key)})
	if err != nil {
		return object.Info{}, err
	}
	c := &change{info: r.Info, staged: st, when: req.If}
	c.info.Bucket, c.info.Key, c.info.Digest, c.info.Parts = req.Bucket, req.Key, content.Digest(), 0
	override(&c.info, req)
	info, err := s.commit(to, c)
	if err != nil {
		st.abandon()
		return object.Info{}, err
	}
	st.commit()
	return info, nil
}

// override replaces what the request says anew of the copy.
func override(info *object.Info, req *object.CopyRequest) {
	if req.Meta != nil {
		info.Meta = *req.Meta
		info.Meta.User = maps.Clone(req.Meta.User)
	}
	if req.Tags != nil {
		info.Tags = slices.Clone(*req.Tags)
	}
}

// restate copies an object onto itself.
func (s *Store) restate(ctx context.Context, b *bucket, req *object.CopyRequest) (info object.Info, err error) {
	err = s.rewrite(ctx, b, req.Key, func(memory []byte) error {
		var body index.Body
		var rec *segment.Record
		info, body, rec, err = s.again(b, req.Key, memory)
		if err != nil {
			return err
		}
		if err := req.SourceIf.CheckRead(&info); err != nil {
			return err
		}
		if err := req.If.CheckWrite(req.Key, &info); err != nil {
			return err
		}
		current := info
		override(&info, req)
		return s.write(b, &current, &info, &body, rec)
	})
	return info, err
}

// errGrown says that a record holds more than memory was taken for.
var errGrown = errors.New("the record has grown")

// rewrite calls do with the key locked and with memory for the body that its record
// holds, which is taken before: nobody waits for memory with a key locked.
func (s *Store) rewrite(ctx context.Context, b *bucket, key object.Key, do func(memory []byte) error) error {
	for {
		_, body, e, err := s.lookup(b, key)
		if err != nil {
			return err
		}
		size := 0
		if body.Shape == index.Inline {
			size = int(e.Loc.BodyLen)
		}
		buf, err := s.memory.wait(ctx, size)
		if err != nil {
			return err
		}
		err = s.locked(b, key, func() error { return do(buf.b) })
		s.memory.give(buf)
		if !errors.Is(err, errGrown) {
			return err
		}
	}
}

// locked calls do with the bucket held open and the key locked.
func (s *Store) locked(b *bucket, key object.Key, do func() error) error {
	leave, err := b.enter()
	if err != nil {
		return err
	}
	defer leave()
	defer s.locks.lock(b.incarnation, []byte(key))()
	return do()
}

// again makes a record of the same content that an object has now. What is in
// the record is copied into memory; extents and parts are not. The key is locked.
func (s *Store) again(b *bucket, key object.Key, memory []byte) (info object.Info, body index.Body, rec *segment.Record, err error) {
	err = s.retry(func() error {
		s.lookups.RLock()
		var e index.Entry
		info, body, e, err = s.lookup(b, key)
		if err != nil {
			s.lookups.RUnlock()
			return err
		}
		rec = &segment.Record{Header: segment.Header{
			Kind: segment.Put, Incarnation: b.incarnation, Key: []byte(key), Stage: e.Stage,
		}}
		if body.Shape != index.Inline {
			s.lookups.RUnlock()
			return nil
		}
		if int(e.Loc.BodyLen) > len(memory) {
			s.lookups.RUnlock()
			return errGrown
		}
		p, err := s.pin(e.Loc)
		s.lookups.RUnlock()
		if err != nil {
			return err
		}
		rec.Body, err = s.readAll(p, memory[:0])
		rec.Sums = segment.AppendSums(nil, rec.Body)
		return err
	})
	return info, body, rec, err
}

// SetTags implements object.Store.
func (s *Store) SetTags(ctx context.Context, bucket object.BucketName, key object.Key, tags []object.Tag) error {
	const op = "set tags"
	b, err := s.bucket(op, bucket)
	if err != nil {
		return err
	}
	return wrap(op, fault.Object, path(bucket, key), s.setTags(ctx, b, key, tags))
}

func (s *Store) setTags(ctx context.Context, b *bucket, key object.Key, tags []object.Tag) error {
	return s.rewrite(ctx, b, key, func(memory []byte) error {
		info, body, rec, err := s.again(b, key, memory)
		if err != nil {
			return err
		}
		info.Tags = slices.Clone(tags)
		rec.Seq = s.seq.Add(1) // the version stays, and this record of it is the newest
		rec.Attrs = appendInfo(index.AppendBody(nil, &body), &info)
		return s.append(rec)
	})
}
