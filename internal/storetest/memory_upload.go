package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// upload is one upload in progress.
type upload struct {
	object.Upload
	parts map[int]*part
}

// part is one stored part; it never changes after it is stored.
type part struct {
	object.Part
	body []byte
}

// finished is what became of a completed upload.
type finished struct {
	key   object.Key
	parts []object.CompletePart
	info  object.Info
}

// CreateUpload implements object.Uploads.
func (m *Memory) CreateUpload(ctx context.Context, req object.UploadRequest) (object.Upload, error) {
	if err := m.begin(ctx, "CreateUpload"); err != nil {
		return object.Upload{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(req.Bucket)
	if err != nil {
		return object.Upload{}, err
	}
	m.serial++
	u := &upload{parts: make(map[int]*part), Upload: object.Upload{
		Bucket: req.Bucket, Key: req.Key, ID: object.UploadID(fmt.Sprintf("%08d-%s", m.serial, rand.Text())),
		Initiated: m.cfg.Now(), Meta: req.Meta, Tags: slices.Clone(req.Tags),
		Checksum: req.Checksum, Composite: req.Composite,
	}}
	b.uploads[u.ID] = u
	return u.Upload, nil
}

// upload returns an upload in progress. The caller holds mu.
func (m *Memory) upload(name object.BucketName, key object.Key, id object.UploadID) (*bucket, *upload, error) {
	b, err := m.bucket(name)
	if err != nil {
		return nil, nil, err
	}
	u, ok := b.uploads[id]
	if !ok || u.Key != key {
		return b, nil, fault.Missing(fault.Upload, string(id))
	}
	return b, u, nil
}

// Upload implements object.Uploads.
func (m *Memory) Upload(ctx context.Context, name object.BucketName, key object.Key, id object.UploadID) (object.Upload, error) {
	if err := m.begin(ctx, "Upload"); err != nil {
		return object.Upload{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, u, err := m.upload(name, key, id)
	if err != nil {
		return object.Upload{}, err
	}
	return u.Upload, nil
}

// PutPart implements object.Uploads.
func (m *Memory) PutPart(ctx context.Context, req object.PartRequest) (object.Part, error) {
	if err := m.begin(ctx, "PutPart"); err != nil {
		return object.Part{}, err
	}
	if err := m.expectUpload(&req); err != nil {
		return object.Part{}, err
	}
	body, err := readAll(ctx, req.Content, req.Size)
	if err != nil {
		return object.Part{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, u, err := m.upload(req.Bucket, req.Key, req.Upload)
	if err != nil {
		return object.Part{}, err
	}
	return m.keepPart(u, req.Number, body, req.Content.Digest()), nil
}

// expectUpload reports a missing upload before a body is read.
func (m *Memory) expectUpload(req *object.PartRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, err := m.upload(req.Bucket, req.Key, req.Upload)
	return err
}

// CopyPart implements object.Uploads.
func (m *Memory) CopyPart(ctx context.Context, req object.CopyPartRequest) (object.Part, error) {
	if err := m.begin(ctx, "CopyPart"); err != nil {
		return object.Part{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, u, err := m.upload(req.Bucket, req.Key, req.Upload)
	if err != nil {
		return object.Part{}, err
	}
	_, source, err := m.object(req.SourceBucket, req.SourceKey)
	if err != nil {
		return object.Part{}, err
	}
	if err := req.SourceIf.CheckRead(&source.info); err != nil {
		return object.Part{}, err
	}
	if r := req.SourceRange; r != nil && r.Suffix == 0 && r.Last >= source.info.Size {
		return object.Part{}, fault.New(fault.Invalid, fault.Range, "")
	}
	offset, length, err := req.SourceRange.Resolve(source.info.Size)
	if err != nil {
		return object.Part{}, err
	}
	content := req.Digest(bytes.NewReader(source.body[offset : offset+length]))
	body, err := readAll(ctx, content, length)
	if err != nil {
		return object.Part{}, err
	}
	return m.keepPart(u, req.Number, body, content.Digest()), nil
}

// keepPart stores a part. The caller holds mu.
func (m *Memory) keepPart(u *upload, number int, body []byte, digest object.Digest) object.Part {
	p := &part{body: body, Part: object.Part{
		Number: number, Size: int64(len(body)), Modified: m.cfg.Now(), Digest: cloneDigest(digest),
	}}
	u.parts[number] = p
	return p.Part
}

// CompleteUpload implements object.Uploads.
func (m *Memory) CompleteUpload(ctx context.Context, req object.CompleteRequest) (object.Info, error) {
	if err := m.begin(ctx, "CompleteUpload"); err != nil {
		return object.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, u, err := m.upload(req.Bucket, req.Key, req.Upload)
	if err != nil {
		if b != nil {
			if f, ok := b.completed[req.Upload]; ok && f.same(&req) {
				return cloneInfo(f.info), nil
			}
		}
		return object.Info{}, err
	}
	parts, digest, _, err := req.Assemble(&u.Upload, func(number int) (object.Part, bool) {
		p, ok := u.parts[number]
		if !ok {
			return object.Part{}, false
		}
		return p.Part, true
	})
	if err != nil {
		return object.Info{}, err
	}
	s := &stored{parts: parts, info: object.Info{
		Bucket: req.Bucket, Key: req.Key, Digest: digest, Meta: u.Meta, Tags: u.Tags,
	}}
	for _, p := range parts {
		s.body = append(s.body, u.parts[p.Number].body...)
	}
	info, err := m.commit(&req.If, s)
	if err != nil {
		return object.Info{}, err
	}
	delete(b.uploads, u.ID)
	b.completed[u.ID] = &finished{key: u.Key, parts: slices.Clone(req.Parts), info: cloneInfo(info)}
	return info, nil
}

// same reports whether req names the parts that the upload was completed with.
func (f *finished) same(req *object.CompleteRequest) bool {
	return f.key == req.Key && slices.EqualFunc(f.parts, req.Parts, func(a, b object.CompletePart) bool {
		return a.Number == b.Number && a.ETag == b.ETag
	})
}

// AbortUpload implements object.Uploads.
func (m *Memory) AbortUpload(ctx context.Context, name object.BucketName, key object.Key, id object.UploadID) error {
	if err := m.begin(ctx, "AbortUpload"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, _, err := m.upload(name, key, id)
	if err != nil {
		return err
	}
	delete(b.uploads, id)
	return nil
}

// UploadParts implements object.Uploads.
func (m *Memory) UploadParts(ctx context.Context, name object.BucketName, key object.Key, id object.UploadID, after, limit int) ([]object.Part, error) {
	if err := m.begin(ctx, "UploadParts"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, u, err := m.upload(name, key, id)
	if err != nil {
		return nil, err
	}
	all := make([]object.Part, 0, len(u.parts))
	for _, p := range u.parts {
		all = append(all, p.Part)
	}
	slices.SortFunc(all, func(x, y object.Part) int { return cmp.Compare(x.Number, y.Number) })
	return partsAfter(all, after, limit), nil
}
