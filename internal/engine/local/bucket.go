package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// bucket is a bucket in memory.
type bucket struct {
	incarnation uint64

	// gate is held shared by everything that writes into the bucket, from its
	// checks to its commit, and exclusively by what deletes the bucket.
	gate sync.RWMutex
	gone bool // guarded by gate

	mu   sync.Mutex // guards the fields below; no I/O under it
	info object.Bucket
	used int64 // bytes, those of writes that are on their way included
}

// bucketDoc is a bucket as its record holds it.
type bucketDoc struct {
	Incarnation uint64              `json:"incarnation"`
	Created     time.Time           `json:"created"`
	Config      object.BucketConfig `json:"config"`
}

func (s *Store) loadBuckets() error {
	it, err := s.index.Iter(index.System, []byte{index.BucketKey})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		e, err := it.Entry()
		if err != nil {
			_ = it.Close()
			return err
		}
		b, err := s.parseBucket(object.BucketName(it.Key()[1:]), e.Attrs)
		if err != nil {
			_ = it.Close()
			return err
		}
		s.buckets[b.info.Name] = b
	}
	if err := it.Close(); err != nil {
		return err
	}
	return s.refuseLostBuckets()
}

// refuseLostBuckets notes the buckets whose newest state is lost.
func (s *Store) refuseLostBuckets() error {
	losses, _, err := s.index.Losses()
	if err != nil {
		return err
	}
	clear(s.lostBuckets)
	for _, l := range losses {
		if l.Incarnation != index.System || len(l.Key) == 0 || l.Key[0] != index.BucketKey {
			continue
		}
		newest, err := s.index.Newest(index.System, l.Key)
		if err != nil {
			return err
		}
		if newest < l.Seq {
			s.lostBuckets[object.BucketName(l.Key[1:])] = true
		}
	}
	return nil
}

func (s *Store) parseBucket(name object.BucketName, attrs []byte) (*bucket, error) {
	_, doc, ok := index.ParseBody(attrs)
	var d bucketDoc
	if !ok || json.Unmarshal(doc, &d) != nil {
		return nil, fault.Wrap(fault.Corrupt, fault.Bucket, string(name), errAttributes)
	}
	return &bucket{
		incarnation: d.Incarnation,
		used:        s.index.Ledger(d.Incarnation).Bytes,
		info:        object.Bucket{Name: name, Incarnation: d.Incarnation, Created: d.Created, Config: d.Config},
	}, nil
}

// bucket returns a bucket, or NotFound.
func (s *Store) bucket(op string, name object.BucketName) (*bucket, error) {
	s.mu.RLock()
	b, lost, closed := s.buckets[name], s.lostBuckets[name], s.closed
	s.mu.RUnlock()
	if closed {
		return nil, &fault.Error{Kind: fault.Unavailable, Noun: fault.Store, Op: op, Name: string(name), Err: segment.ErrClosed}
	}
	if lost {
		return nil, &fault.Error{Kind: fault.Corrupt, Noun: fault.Bucket, Op: op, Name: string(name), Err: index.ErrLost}
	}
	if b == nil {
		return nil, &fault.Error{Kind: fault.NotFound, Noun: fault.Bucket, Op: op, Name: string(name)}
	}
	return b, nil
}

// enter holds the bucket open for one write.
func (b *bucket) enter() (leave func(), err error) {
	b.gate.RLock()
	if b.gone {
		b.gate.RUnlock()
		return nil, fault.Missing(fault.Bucket, string(b.info.Name))
	}
	return b.gate.RUnlock, nil
}

func (b *bucket) snapshot() object.Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	info := b.info
	info.Config = cloneConfig(info.Config)
	return info
}

func cloneConfig(c object.BucketConfig) object.BucketConfig {
	c.Policy = bytes.Clone(c.Policy)
	c.Tags = slices.Clone(c.Tags)
	return c
}

// reserve takes room for a write of next bytes over one of old bytes, before it
// is made, and returns what ends the reservation. It is exact whatever writes
// run at once: growth counts before the write, and shrinking after it. exempt says
// that the write is admitted to a full disk, too.
func (b *bucket) reserve(key object.Key, old, next int64) (settle func(done bool), exempt bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delta := next - old
	quota := b.info.Config.Quota
	exempt = b.info.Config.QuotaExempt(key, next)
	if delta > 0 && quota > 0 && b.used+delta > quota && !exempt {
		return nil, false, fault.New(fault.Full, fault.Quota, string(b.info.Name))
	}
	growth := max(delta, 0)
	b.used += growth
	return func(done bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if done {
			b.used += delta - growth
		} else {
			b.used -= growth
		}
	}, exempt, nil
}

func (s *Store) putBucket(b *object.Bucket) error {
	doc, err := json.Marshal(bucketDoc{Incarnation: b.Incarnation, Created: b.Created, Config: b.Config})
	if err != nil {
		return err
	}
	return s.append(s.systemPut(index.Bucket(string(b.Name)), doc))
}

// systemPut makes a record of one of the store's own keys.
func (s *Store) systemPut(key, doc []byte) *segment.Record {
	attrs := index.AppendBody(nil, &index.Body{Shape: index.Inline})
	return &segment.Record{Header: segment.Header{
		Kind: segment.Put, Incarnation: index.System, Key: key, Seq: s.seq.Add(1), Attrs: append(attrs, doc...),
	}}
}

func (s *Store) systemDelete(key []byte) *segment.Record {
	return &segment.Record{Header: segment.Header{
		Kind: segment.Delete, Incarnation: index.System, Key: key, Seq: s.seq.Add(1),
	}}
}

// CreateBucket implements object.Store.
func (s *Store) CreateBucket(_ context.Context, name object.BucketName, config object.BucketConfig) (object.Bucket, error) {
	const op = "create bucket"
	defer s.locks.lock(index.System, index.Bucket(string(name)))()
	switch _, err := s.bucket(op, name); {
	case err == nil:
		return object.Bucket{}, &fault.Error{Kind: fault.Exists, Noun: fault.Bucket, Op: op, Name: string(name)}
	case !errors.Is(err, fault.NotFound):
		return object.Bucket{}, err
	}
	b := &bucket{info: object.Bucket{Name: name, Created: s.now(), Config: cloneConfig(config)}}
	b.info.Incarnation = s.seq.Add(1)
	b.incarnation = b.info.Incarnation
	if err := s.putBucket(&b.info); err != nil {
		return object.Bucket{}, wrap(op, fault.Bucket, string(name), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[name] = b
	return b.snapshot(), nil
}

// now is the time as records keep it.
func (s *Store) now() time.Time { return s.cfg.Now().UTC().Round(0) }

// Bucket implements object.Store.
func (s *Store) Bucket(_ context.Context, name object.BucketName) (object.Bucket, error) {
	b, err := s.bucket("bucket", name)
	if err != nil {
		return object.Bucket{}, err
	}
	return b.snapshot(), nil
}

// ListBuckets implements object.Store.
func (s *Store) ListBuckets(context.Context) ([]object.Bucket, error) {
	s.mu.RLock()
	buckets := slices.Collect(maps.Values(s.buckets))
	s.mu.RUnlock()
	all := make([]object.Bucket, 0, len(buckets))
	for _, b := range buckets {
		all = append(all, b.snapshot())
	}
	slices.SortFunc(all, func(a, b object.Bucket) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// UpdateBucket implements object.Store.
func (s *Store) UpdateBucket(_ context.Context, name object.BucketName, change func(*object.BucketConfig) error) (object.Bucket, error) {
	const op = "update bucket"
	defer s.locks.lock(index.System, index.Bucket(string(name)))()
	b, err := s.bucket(op, name)
	if err != nil {
		return object.Bucket{}, err
	}
	next := b.snapshot()
	if err := change(&next.Config); err != nil {
		return object.Bucket{}, err
	}
	next.Config = cloneConfig(next.Config)
	if err := s.putBucket(&next); err != nil {
		return object.Bucket{}, wrap(op, fault.Bucket, string(name), err)
	}
	b.mu.Lock()
	b.info.Config = next.Config
	b.mu.Unlock()
	return b.snapshot(), nil
}

// DeleteBucket implements object.Store.
func (s *Store) DeleteBucket(_ context.Context, name object.BucketName) error {
	const op = "delete bucket"
	defer s.locks.lock(index.System, index.Bucket(string(name)))()
	b, err := s.bucket(op, name)
	if err != nil {
		return err
	}
	b.gate.Lock()
	defer b.gate.Unlock()
	if s.index.Ledger(b.incarnation).Objects != 0 {
		return &fault.Error{Kind: fault.Conflict, Noun: fault.Bucket, Op: op, Name: string(name)}
	}
	if err := s.abortUploads(b); err != nil {
		return wrap(op, fault.Bucket, string(name), err)
	}
	if err := s.append(s.systemDelete(index.Bucket(string(name)))); err != nil {
		return wrap(op, fault.Bucket, string(name), err)
	}
	b.gone = true
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.buckets, name)
	return nil
}

// Usage implements object.Store.
func (s *Store) Usage(_ context.Context, name object.BucketName) (object.Usage, error) {
	b, err := s.bucket("usage", name)
	if err != nil {
		return object.Usage{}, err
	}
	l := s.index.Ledger(b.incarnation)
	return object.Usage{Objects: l.Objects, Bytes: l.Bytes}, nil
}
