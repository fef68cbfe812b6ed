package local

import (
	"context"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// PutPart implements object.Store.
func (s *Store) PutPart(ctx context.Context, req object.PartRequest) (object.Part, error) {
	const op = "put part"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return object.Part{}, err
	}
	p, err := s.putPart(ctx, b, &req)
	return p, wrap(op, fault.Upload, string(req.Upload), err)
}

func (s *Store) putPart(ctx context.Context, b *bucket, req *object.PartRequest) (object.Part, error) {
	u, err := s.session(b, req.Key, req.Upload)
	if err != nil {
		return object.Part{}, err
	}
	if req.Number < 1 || req.Number > object.MaxParts {
		return object.Part{}, fault.New(fault.Invalid, fault.Part, "a part's number is from 1 to 10000")
	}
	if req.Size > object.MaxPartSize {
		return object.Part{}, fault.New(fault.TooLarge, fault.Part, "")
	}
	key := index.Part(u.id, req.Number)
	st, err := s.stage(ctx, req.Content, req.Size, owner{index.System, key})
	if err != nil {
		return object.Part{}, err
	}
	p := object.Part{Number: req.Number, Size: st.size, Digest: req.Content.Digest()}
	err = ctx.Err()
	if err == nil {
		err = s.commitPart(b, req, &p, st)
	}
	if err != nil {
		st.abandon()
		return object.Part{}, err
	}
	st.commit()
	return p, nil
}

// commitPart makes a part durable. Parts of one upload are committed at once,
// but none while the upload is being completed or aborted.
func (s *Store) commitPart(b *bucket, req *object.PartRequest, p *object.Part, st *staged) error {
	leave, err := b.enter()
	if err != nil {
		return err
	}
	defer leave()
	defer s.locks.share(index.System, uploadLockKey(b, req.Key, req.Upload))()
	u, err := s.session(b, req.Key, req.Upload)
	if err != nil {
		return err
	}
	key := index.Part(u.id, req.Number)
	defer s.locks.lock(index.System, key)()
	rec := &segment.Record{Header: segment.Header{Kind: segment.Put, Incarnation: index.System, Key: key}}
	body := st.body(rec)
	rec.Seq = s.seq.Add(1)
	p.Modified = s.now()
	attrs := index.AppendOwner(index.AppendBody(nil, &body), index.Owner{Incarnation: b.incarnation, Key: []byte(req.Key)})
	rec.Attrs = appendInfo(attrs, &object.Info{Modified: p.Modified, Digest: p.Digest})
	return s.append(rec)
}

// part returns a stored part of an upload, or of the object it became.
func (s *Store) part(id index.UploadID, number int) (object.Part, index.Entry, bool, error) {
	e, ok, err := s.index.Object(index.System, index.Part(id, number))
	if err != nil || !ok {
		return object.Part{}, e, false, err
	}
	p, err := parsePart(number, &e)
	return p, e, err == nil, err
}

// parsePart decodes a part's entry.
func parsePart(number int, e *index.Entry) (object.Part, error) {
	body, rest, ok := index.ParseBody(e.Attrs)
	if ok {
		_, rest, ok = index.ParseOwner(rest)
	}
	if !ok {
		return object.Part{}, errAttrs("", "")
	}
	plain := index.Entry{Attrs: append(index.AppendBody(nil, &index.Body{Size: body.Size}), rest...)}
	info, _, err := parseInfo("", "", &plain, true)
	return object.Part{Number: number, Size: body.Size, Modified: info.Modified, Digest: info.Digest}, err
}

// CopyPart implements object.Store.
func (s *Store) CopyPart(ctx context.Context, req object.CopyPartRequest) (object.Part, error) {
	const op = "copy part"
	to, err := s.bucket(op, req.Bucket)
	if err != nil {
		return object.Part{}, err
	}
	from, err := s.bucket(op, req.SourceBucket)
	if err != nil {
		return object.Part{}, err
	}
	p, err := s.copyPart(ctx, from, to, &req)
	return p, wrap(op, fault.Upload, string(req.Upload), err)
}

func (s *Store) copyPart(ctx context.Context, from, to *bucket, req *object.CopyPartRequest) (object.Part, error) {
	if _, err := s.session(to, req.Key, req.Upload); err != nil {
		return object.Part{}, err
	}
	r, err := s.get(from, &object.GetRequest{Bucket: req.SourceBucket, Key: req.SourceKey, Range: req.SourceRange, If: req.SourceIf})
	if err != nil {
		return object.Part{}, err
	}
	defer func() { _ = r.Body.Close() }()
	if v := req.SourceRange; v != nil && v.Suffix == 0 && v.Last >= r.Info.Size {
		return object.Part{}, fault.New(fault.Invalid, fault.Range, "")
	}
	return s.putPart(ctx, to, &object.PartRequest{
		Bucket: req.Bucket, Key: req.Key, Upload: req.Upload, Number: req.Number, Content: req.Digest(r.Body), Size: r.Length,
	})
}

// UploadParts implements object.Store.
func (s *Store) UploadParts(_ context.Context, bucket object.BucketName, key object.Key, id object.UploadID, after, limit int) ([]object.Part, error) {
	const op = "list parts"
	b, err := s.bucket(op, bucket)
	if err != nil {
		return nil, err
	}
	u, err := s.session(b, key, id)
	if err != nil {
		return nil, wrap(op, fault.Upload, string(id), err)
	}
	parts, err := s.partsAfter(u.id, after, limit)
	return parts, wrap(op, fault.Upload, string(id), err)
}

// partsAfter returns stored parts in order.
func (s *Store) partsAfter(id index.UploadID, after, limit int) ([]object.Part, error) {
	it, err := s.index.Iter(index.System, index.PartsOf(id))
	if err != nil {
		return nil, err
	}
	parts := make([]object.Part, 0, max(0, min(limit, 64)))
	if after < object.MaxParts {
		for ok := it.Seek(index.Part(id, max(after, 0)+1)); ok && len(parts) < limit; ok = it.Next() {
			e, err := it.Entry()
			if err != nil {
				_ = it.Close()
				return nil, err
			}
			p, err := parsePart(index.PartNumber(it.Key()), &e)
			if err != nil {
				_ = it.Close()
				return nil, err
			}
			parts = append(parts, p)
		}
	}
	return parts, it.Close()
}

// ObjectParts implements object.Store.
func (s *Store) ObjectParts(_ context.Context, bucket object.BucketName, key object.Key, after, limit int) ([]object.Part, error) {
	const op = "list object parts"
	b, err := s.bucket(op, bucket)
	if err != nil {
		return nil, err
	}
	_, body, _, err := s.lookup(b, key)
	if err != nil || body.Shape != index.Parts {
		return nil, wrap(op, fault.Object, path(bucket, key), err)
	}
	parts, err := s.partsAfter(body.Upload, after, limit)
	return parts, wrap(op, fault.Object, path(bucket, key), err)
}
