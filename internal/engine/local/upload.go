package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// session is one upload in progress, found and locked.
type session struct {
	bucket *bucket
	key    []byte // of the upload in the store's own keys
	id     index.UploadID
	info   object.Upload
}

func parseUploadID(id object.UploadID) (raw index.UploadID, ok bool) {
	if len(id) != 2*len(raw) {
		return raw, false
	}
	n, err := hex.Decode(raw[:], []byte(id))
	return raw, err == nil && n == len(raw) && hex.EncodeToString(raw[:]) == string(id)
}

// CreateUpload implements object.Store.
func (s *Store) CreateUpload(_ context.Context, req object.UploadRequest) (object.Upload, error) {
	const op = "create upload"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return object.Upload{}, err
	}
	leave, err := b.enter()
	if err != nil {
		return object.Upload{}, wrap(op, fault.Bucket, string(req.Bucket), err)
	}
	defer leave()
	var id index.UploadID
	_, _ = rand.Read(id[:]) // never fails
	info := object.Info{
		Modified: s.now(), Meta: req.Meta, Tags: slices.Clone(req.Tags),
		Digest: object.Digest{Checksum: object.Checksum{Algorithm: req.Checksum, Composite: req.Composite}},
	}
	info.Meta.User = maps.Clone(req.Meta.User)
	rec := &segment.Record{Header: segment.Header{
		Kind: segment.Put, Incarnation: index.System, Key: index.Upload(b.incarnation, []byte(req.Key), id), Seq: s.seq.Add(1),
		Attrs: appendInfo(index.AppendBody(nil, &index.Body{}), &info),
	}}
	if err := s.append(rec); err != nil {
		return object.Upload{}, wrap(op, fault.Object, path(req.Bucket, req.Key), err)
	}
	return uploadInfo(req.Bucket, req.Key, id, &info), nil
}

func uploadInfo(bucket object.BucketName, key object.Key, id index.UploadID, info *object.Info) object.Upload {
	return object.Upload{
		Bucket: bucket, Key: key, ID: object.UploadID(hex.EncodeToString(id[:])), Initiated: info.Modified,
		Meta: info.Meta, Tags: info.Tags, Checksum: info.Digest.Checksum.Algorithm, Composite: info.Digest.Checksum.Composite,
	}
}

// session finds an upload in progress. The caller has locked it, or does not
// need to.
func (s *Store) session(b *bucket, key object.Key, id object.UploadID) (session, error) {
	raw, ok := parseUploadID(id)
	if !ok {
		return session{}, fault.Missing(fault.Upload, string(id))
	}
	u := session{bucket: b, key: index.Upload(b.incarnation, []byte(key), raw), id: raw}
	e, ok, err := s.index.Object(index.System, u.key)
	if err != nil {
		return session{}, err
	}
	if !ok {
		return session{}, fault.Missing(fault.Upload, string(id))
	}
	info, _, err := parseInfo(b.info.Name, key, &e, false)
	if err != nil {
		return session{}, err
	}
	u.info = uploadInfo(b.info.Name, key, raw, &info)
	return u, nil
}

// uploadLockKey is the key under which an upload is locked, whether or not it
// exists.
func uploadLockKey(b *bucket, key object.Key, id object.UploadID) []byte {
	raw, _ := parseUploadID(id)
	return index.Upload(b.incarnation, []byte(key), raw)
}

// Upload implements object.Store.
func (s *Store) Upload(_ context.Context, bucket object.BucketName, key object.Key, id object.UploadID) (object.Upload, error) {
	const op = "upload"
	b, err := s.bucket(op, bucket)
	if err != nil {
		return object.Upload{}, err
	}
	u, err := s.session(b, key, id)
	return u.info, wrap(op, fault.Upload, string(id), err)
}

// AbortUpload implements object.Store.
func (s *Store) AbortUpload(_ context.Context, bucket object.BucketName, key object.Key, id object.UploadID) error {
	const op = "abort upload"
	b, err := s.bucket(op, bucket)
	if err != nil {
		return err
	}
	leave, err := b.enter()
	if err != nil {
		return wrap(op, fault.Bucket, string(bucket), err)
	}
	defer leave()
	defer s.locks.lock(index.System, uploadLockKey(b, key, id))()
	u, err := s.session(b, key, id)
	if err == nil {
		err = s.append(s.systemDelete(u.key))
	}
	return wrap(op, fault.Upload, string(id), err)
}

// abortUploads ends all uploads of a bucket, whose gate is held exclusively.
func (s *Store) abortUploads(b *bucket) error {
	it, err := s.index.Iter(index.System, index.UploadsOf(b.incarnation))
	if err != nil {
		return err
	}
	var recs []*segment.Record
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		if recs = append(recs, s.systemDelete(slices.Clone(it.Key()))); len(recs) == abortBatch {
			err = s.append(recs...)
			recs = nil
		}
	}
	if err = errors.Join(err, it.Close()); err != nil || len(recs) == 0 {
		return err
	}
	return s.append(recs...)
}

// abortBatch is how many uploads are ended at once.
const abortBatch = 1000

// CompleteUpload implements object.Store.
func (s *Store) CompleteUpload(_ context.Context, req object.CompleteRequest) (object.Info, error) {
	const op = "complete upload"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return object.Info{}, err
	}
	leave, err := b.enter()
	if err != nil {
		return object.Info{}, wrap(op, fault.Bucket, string(req.Bucket), err)
	}
	defer leave()
	defer s.locks.lock(index.System, uploadLockKey(b, req.Key, req.Upload))()
	defer s.locks.lock(b.incarnation, []byte(req.Key))()
	info, err := s.complete(b, &req)
	return info, wrap(op, fault.Upload, string(req.Upload), err)
}

// complete makes the object. The upload and the key are locked. The record that
// ends the upload is chained to the object's: a crash leaves both or neither.
func (s *Store) complete(b *bucket, req *object.CompleteRequest) (object.Info, error) {
	current, e, lost, err := s.current(b, req.Key)
	if err != nil {
		return object.Info{}, err
	}
	u, err := s.session(b, req.Key, req.Upload)
	if err != nil {
		if info, ok := s.completed(current, e, req); ok && !lost {
			return info, nil
		}
		return object.Info{}, err
	}
	body, parts, digest, err := s.assemble(&u, req)
	if err != nil {
		return object.Info{}, err
	}
	if err := checkWrite(&req.If, req.Key, current, lost); err != nil {
		return object.Info{}, err
	}
	info := object.Info{
		Bucket: req.Bucket, Key: req.Key, Size: body.Size, Digest: digest,
		Meta: u.info.Meta, Tags: u.info.Tags, Parts: parts,
	}
	rec := &segment.Record{Header: segment.Header{Kind: segment.Put, Incarnation: b.incarnation, Key: []byte(req.Key)}}
	if err := s.write(b, current, &info, &body, rec, s.systemDelete(u.key)); err != nil {
		return object.Info{}, err
	}
	return info, nil
}

// assemble checks the request against the stored parts.
func (s *Store) assemble(u *session, req *object.CompleteRequest) (index.Body, int, object.Digest, error) {
	seqs := make(map[int]uint64, len(req.Parts))
	var failed error
	parts, digest, size, err := req.Assemble(&u.info, func(number int) (object.Part, bool) {
		p, e, ok, err := s.part(u.id, number)
		if err != nil {
			failed = err
		}
		seqs[number] = e.Seq
		return p, ok
	})
	if failed != nil {
		err = failed
	}
	if err != nil {
		return index.Body{}, 0, object.Digest{}, err
	}
	body := index.Body{Shape: index.Parts, Size: size, Upload: u.id}
	for _, p := range parts {
		body.Parts = append(body.Parts, index.PartRef{Number: p.Number, Seq: seqs[p.Number], Size: p.Size})
	}
	return body, len(parts), digest, nil
}

// completed answers a repeated request: the key's object was made by it.
func (s *Store) completed(current *object.Info, e *index.Entry, req *object.CompleteRequest) (object.Info, bool) {
	id, ok := parseUploadID(req.Upload)
	if !ok || current == nil {
		return object.Info{}, false
	}
	body, _, ok := index.ParseBody(e.Attrs)
	if !ok || body.Shape != index.Parts || body.Upload != id || len(body.Parts) != len(req.Parts) {
		return object.Info{}, false
	}
	for i, wanted := range req.Parts {
		p, _, ok, err := s.part(id, wanted.Number)
		if err != nil || !ok || body.Parts[i].Number != wanted.Number || p.Digest.ETag != wanted.ETag {
			return object.Info{}, false
		}
	}
	return *current, true
}
