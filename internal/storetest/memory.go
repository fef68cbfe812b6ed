package storetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// Config is what a test can set on a Memory. The zero value is usable.
type Config struct {
	// Now is the clock, time.Now by default.
	Now func() time.Time

	// Fault is asked at the start of every operation that may fail, with the
	// method's name ("Put", "CompleteUpload", "Append"); an error of its is the
	// operation's. Nil lets all pass.
	Fault func(op string) error
}

// Memory is an object.Store in memory. All its bodies are held whole.
type Memory struct {
	cfg Config

	mu      sync.Mutex // guards all below; held for whole operations, never while a body is read
	version object.Version
	buckets map[object.BucketName]*bucket
	logs    map[string]*memoryLog
	serial  uint64 // of incarnations and uploads
}

// bucket is one bucket's contents.
type bucket struct {
	object.Bucket
	keys      []object.Key // ordered
	objects   map[object.Key]*stored
	bytes     int64
	uploads   map[object.UploadID]*upload
	completed map[object.UploadID]*finished
}

// stored is one object; it never changes after it is stored.
type stored struct {
	info  object.Info
	body  []byte
	parts []object.Part
}

// NewMemory makes an empty store.
func NewMemory(cfg Config) *Memory {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Fault == nil {
		cfg.Fault = func(string) error { return nil }
	}
	return &Memory{cfg: cfg, buckets: make(map[object.BucketName]*bucket), logs: make(map[string]*memoryLog)}
}

// Caps are all true.
func (m *Memory) Caps() object.Caps {
	return object.Caps{CreateOnce: true, CompareAndSwap: true, ConditionalComplete: true, StrongList: true}
}

// begin is the start of every operation; it ends what is already cancelled.
func (m *Memory) begin(ctx context.Context, op string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return m.cfg.Fault(op)
}

// bucket returns the named bucket. The caller holds mu.
func (m *Memory) bucket(name object.BucketName) (*bucket, error) {
	b, ok := m.buckets[name]
	if !ok {
		return nil, fault.Missing(fault.Bucket, string(name))
	}
	return b, nil
}

// CreateBucket implements object.Buckets.
func (m *Memory) CreateBucket(ctx context.Context, name object.BucketName, config object.BucketConfig) (object.Bucket, error) {
	if err := m.begin(ctx, "CreateBucket"); err != nil {
		return object.Bucket{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.buckets[name]; ok {
		return object.Bucket{}, fault.New(fault.Exists, fault.Bucket, string(name))
	}
	m.serial++
	b := &bucket{
		Bucket:    object.Bucket{Name: name, Incarnation: m.serial, Created: m.cfg.Now(), Config: cloneConfig(config)},
		objects:   make(map[object.Key]*stored),
		uploads:   make(map[object.UploadID]*upload),
		completed: make(map[object.UploadID]*finished),
	}
	m.buckets[name] = b
	return b.describe(), nil
}

// Bucket implements object.Buckets.
func (m *Memory) Bucket(ctx context.Context, name object.BucketName) (object.Bucket, error) {
	if err := m.begin(ctx, "Bucket"); err != nil {
		return object.Bucket{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(name)
	if err != nil {
		return object.Bucket{}, err
	}
	return b.describe(), nil
}

// ListBuckets implements object.Buckets.
func (m *Memory) ListBuckets(ctx context.Context) ([]object.Bucket, error) {
	if err := m.begin(ctx, "ListBuckets"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []object.Bucket
	for _, name := range slices.Sorted(maps.Keys(m.buckets)) {
		all = append(all, m.buckets[name].describe())
	}
	return all, nil
}

// UpdateBucket implements object.Buckets.
func (m *Memory) UpdateBucket(ctx context.Context, name object.BucketName, change func(*object.BucketConfig) error) (object.Bucket, error) {
	if err := m.begin(ctx, "UpdateBucket"); err != nil {
		return object.Bucket{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(name)
	if err != nil {
		return object.Bucket{}, err
	}
	config := cloneConfig(b.Config)
	if err := change(&config); err != nil {
		return object.Bucket{}, err
	}
	b.Config = cloneConfig(config)
	return b.describe(), nil
}

// DeleteBucket implements object.Buckets.
func (m *Memory) DeleteBucket(ctx context.Context, name object.BucketName) error {
	if err := m.begin(ctx, "DeleteBucket"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(name)
	if err != nil {
		return err
	}
	if len(b.keys) > 0 {
		return fault.New(fault.Conflict, fault.Bucket, string(name))
	}
	delete(m.buckets, name)
	return nil
}

// Usage implements object.Buckets.
func (m *Memory) Usage(ctx context.Context, name object.BucketName) (object.Usage, error) {
	if err := m.begin(ctx, "Usage"); err != nil {
		return object.Usage{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(name)
	if err != nil {
		return object.Usage{}, err
	}
	return object.Usage{Objects: int64(len(b.keys)), Bytes: b.bytes}, nil
}

// describe returns the bucket without anything shared with the store.
func (b *bucket) describe() object.Bucket {
	described := b.Bucket
	described.Config = cloneConfig(b.Config)
	return described
}

func cloneConfig(c object.BucketConfig) object.BucketConfig {
	c.Policy = slices.Clone(c.Policy)
	c.Tags = slices.Clone(c.Tags)
	return c
}
