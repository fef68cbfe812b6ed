package storetest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// object returns a stored object. The caller holds mu.
func (m *Memory) object(name object.BucketName, key object.Key) (*bucket, *stored, error) {
	b, err := m.bucket(name)
	if err != nil {
		return nil, nil, err
	}
	s, ok := b.objects[key]
	if !ok {
		return nil, nil, fault.Missing(fault.Object, string(key))
	}
	return b, s, nil
}

// Head implements object.Objects.
func (m *Memory) Head(ctx context.Context, name object.BucketName, key object.Key) (object.Info, error) {
	if err := m.begin(ctx, "Head"); err != nil {
		return object.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, s, err := m.object(name, key)
	if err != nil {
		return object.Info{}, err
	}
	return cloneInfo(s.info), nil
}

// Get implements object.Objects.
func (m *Memory) Get(ctx context.Context, req object.GetRequest) (*object.Reader, error) {
	if err := m.begin(ctx, "Get"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, s, err := m.object(req.Bucket, req.Key)
	if err != nil {
		return nil, err
	}
	r := &object.Reader{Info: cloneInfo(s.info)}
	if err := req.If.CheckRead(&s.info); err != nil {
		return r, err
	}
	if r.Offset, r.Length, err = s.extent(&req); err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(s.body[r.Offset : r.Offset+r.Length]))
	return r, nil
}

// extent returns the offset and length that req asks for.
func (s *stored) extent(req *object.GetRequest) (offset, length int64, err error) {
	if req.Part <= 0 {
		return req.Range.Resolve(s.info.Size)
	}
	if req.Part == 1 && len(s.parts) == 0 {
		return 0, s.info.Size, nil
	}
	for _, part := range s.parts {
		if part.Number == req.Part {
			return offset, part.Size, nil
		}
		offset += part.Size
	}
	return 0, 0, fault.New(fault.Invalid, fault.Range, "")
}

// Put implements object.Objects.
func (m *Memory) Put(ctx context.Context, req object.PutRequest) (object.Info, error) {
	if err := m.begin(ctx, "Put"); err != nil {
		return object.Info{}, err
	}
	if err := m.expect(req.Bucket); err != nil {
		return object.Info{}, err
	}
	body, err := readAll(ctx, req.Content, req.Size)
	if err != nil {
		return object.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commit(&req.If, &stored{body: body, info: object.Info{
		Bucket: req.Bucket, Key: req.Key, Digest: req.Content.Digest(), Meta: req.Meta, Tags: req.Tags,
	}})
}

// expect reports a missing bucket before a body is read.
func (m *Memory) expect(name object.BucketName) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.bucket(name)
	return err
}

// commit stores s if the precondition and the quota admit it. The caller holds mu.
func (m *Memory) commit(condition *object.Precondition, s *stored) (object.Info, error) {
	b, err := m.bucket(s.info.Bucket)
	if err != nil {
		return object.Info{}, err
	}
	key, old := s.info.Key, b.objects[s.info.Key]
	var current *object.Info
	grown := int64(len(s.body))
	if old != nil {
		current = &old.info
		grown -= old.info.Size
	}
	if err := condition.CheckWrite(key, current); err != nil {
		return object.Info{}, err
	}
	if quota := b.Config.Quota; quota > 0 && b.bytes+grown > quota && !b.Config.QuotaExempt(key, int64(len(s.body))) {
		return object.Info{}, fault.New(fault.Full, fault.Quota, string(b.Name))
	}
	m.version++
	s.info.Version, s.info.Modified, s.info.Size = m.version, m.cfg.Now(), int64(len(s.body))
	s.info.Parts = len(s.parts)
	s.info = cloneInfo(s.info)
	b.objects[key] = s
	b.bytes += grown
	if i, found := slices.BinarySearch(b.keys, key); !found {
		b.keys = slices.Insert(b.keys, i, key)
	}
	return cloneInfo(s.info), nil
}

// Copy implements object.Objects.
func (m *Memory) Copy(ctx context.Context, req object.CopyRequest) (object.Info, error) {
	if err := m.begin(ctx, "Copy"); err != nil {
		return object.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, source, err := m.object(req.SourceBucket, req.SourceKey)
	if err != nil {
		return object.Info{}, err
	}
	if err := req.SourceIf.CheckRead(&source.info); err != nil {
		return object.Info{}, err
	}
	s := &stored{info: source.info, body: source.body, parts: source.parts}
	s.info.Bucket, s.info.Key = req.Bucket, req.Key
	if req.Meta != nil {
		s.info.Meta = *req.Meta
	}
	if req.Tags != nil {
		s.info.Tags = *req.Tags
	}
	if req.Digest != nil {
		content := req.Digest(bytes.NewReader(source.body))
		if _, err := io.Copy(io.Discard, content); err != nil {
			return object.Info{}, err
		}
		s.info.Digest, s.parts = content.Digest(), nil
	}
	return m.commit(&req.If, s)
}

// SetTags implements object.Objects.
func (m *Memory) SetTags(ctx context.Context, name object.BucketName, key object.Key, tags []object.Tag) error {
	if err := m.begin(ctx, "SetTags"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, s, err := m.object(name, key)
	if err != nil {
		return err
	}
	tagged := *s
	tagged.info.Tags = slices.Clone(tags)
	b.objects[key] = &tagged
	return nil
}

// Delete implements object.Objects.
func (m *Memory) Delete(ctx context.Context, req object.DeleteRequest) error {
	if err := m.begin(ctx, "Delete"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(req.Bucket)
	if err != nil {
		return err
	}
	s, ok := b.objects[req.Key]
	if !ok {
		return req.If.CheckWrite(req.Key, nil)
	}
	if err := req.If.CheckWrite(req.Key, &s.info); err != nil {
		return err
	}
	delete(b.objects, req.Key)
	b.bytes -= s.info.Size
	i, _ := slices.BinarySearch(b.keys, req.Key)
	b.keys = slices.Delete(b.keys, i, i+1)
	return nil
}

// ObjectParts implements object.Objects.
func (m *Memory) ObjectParts(ctx context.Context, name object.BucketName, key object.Key, after, limit int) ([]object.Part, error) {
	if err := m.begin(ctx, "ObjectParts"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, s, err := m.object(name, key)
	if err != nil {
		return nil, err
	}
	return partsAfter(s.parts, after, limit), nil
}

// partsAfter returns a page of parts, which are ordered by number.
func partsAfter(parts []object.Part, after, limit int) []object.Part {
	i := 0
	for i < len(parts) && parts[i].Number <= after {
		i++
	}
	return slices.Clone(parts[i:min(i+max(limit, 0), len(parts))])
}

// readAll reads a body to its end, which only then is one. It gives up when ctx
// ends.
func readAll(ctx context.Context, content object.Content, size int64) ([]byte, error) {
	body, err := io.ReadAll(content)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil && size >= 0 && size != int64(len(body)) {
		err = fault.New(fault.Invalid, fault.Object, "size")
	}
	return body, err
}

func cloneInfo(info object.Info) object.Info {
	info.Meta.User = maps.Clone(info.Meta.User)
	info.Tags = slices.Clone(info.Tags)
	info.Digest = cloneDigest(info.Digest)
	return info
}

func cloneDigest(d object.Digest) object.Digest {
	d.MD5 = slices.Clone(d.MD5)
	d.Checksum.Value = slices.Clone(d.Checksum.Value)
	return d
}
