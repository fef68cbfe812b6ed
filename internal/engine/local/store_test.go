package local_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// content is a body that promises nothing.
type content struct {
	io.Reader
	sum []byte
}

func newContent(b []byte) *content {
	sum := md5.Sum(b)
	return &content{Reader: bytes.NewReader(b), sum: sum[:]}
}

func (c *content) Digest() object.Digest {
	return object.Digest{ETag: object.ETag(hex.EncodeToString(c.sum)), MD5: c.sum}
}

func open(tb testing.TB, fs disk.FS, cfg local.Config) *local.Store {
	tb.Helper()
	s, err := local.Open(fs, "/store", cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func put(tb testing.TB, s *local.Store, key string, body []byte) object.Info {
	tb.Helper()
	info, err := s.Put(tb.Context(), object.PutRequest{
		Bucket: "bucket", Key: object.Key(key), Content: newContent(body), Size: int64(len(body)),
		Meta: object.Meta{ContentType: "text/plain", User: map[string]string{"a": "b"}},
		Tags: []object.Tag{{Key: "k", Value: "v"}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

func get(s *local.Store, key string, r *object.Range) ([]byte, error) {
	rd, err := s.Get(noContext{}, object.GetRequest{Bucket: "bucket", Key: object.Key(key), Range: r})
	if err != nil {
		return nil, err
	}
	defer rd.Body.Close()
	return io.ReadAll(rd.Body)
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestReopen(t *testing.T) {
	fs := disk.New(vfs.NewMem())
	cfg := local.Config{ExtentSize: 64 << 10, SegmentSize: 1 << 20}
	s := open(t, fs, cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	sizes := []int{0, 1, 100, 16 << 10, 46_000, 64 << 10, 64<<10 + 1, 300_000, 2_000_000}
	want := map[string][]byte{}
	for i, n := range sizes {
		key := fmt.Sprintf("dir/%d", n)
		want[key] = random(n, uint64(i))
		info := put(t, s, key, want[key])
		head, err := s.Head(t.Context(), "bucket", object.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(info, head); diff != "" {
			t.Error(diff)
		}
	}
	put(t, s, "gone", []byte("x"))
	if err := s.Delete(t.Context(), object.DeleteRequest{Bucket: "bucket", Key: "gone"}); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, s *local.Store) {
		t.Helper()
		for key, body := range want {
			got, err := get(s, key, nil)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %d bytes, %v", key, len(got), err)
			}
			if n := int64(len(body)); n > 10 {
				got, err = get(s, key, &object.Range{First: n / 3, Last: n - 2})
				if err != nil || !bytes.Equal(got, body[n/3:n-1]) {
					t.Errorf("range of %s: %d bytes, %v", key, len(got), err)
				}
			}
		}
		if _, err := get(s, "gone", nil); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted key: %v", err)
		}
		use, err := s.Usage(t.Context(), "bucket")
		if err != nil || use.Objects != int64(len(sizes)) {
			t.Errorf("usage %+v, %v", use, err)
		}
		page, err := s.List(t.Context(), object.ListRequest{Bucket: "bucket", Max: 1000})
		if err != nil || len(page.Entries) != len(sizes) {
			t.Errorf("list: %d entries, %v", len(page.Entries), err)
		}
		page, err = s.List(t.Context(), object.ListRequest{Bucket: "bucket", Delimiter: "/", Max: 1000})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Prefix != "dir/" {
			t.Errorf("rolled list: %v, %v", page.Entries, err)
		}
	}
	check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, cfg)
	check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fs.RemoveAll("/store/index"); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, cfg)
	check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCrashKeepsWhatWasAcknowledged(t *testing.T) {
	mem := vfs.NewCrashableMem()
	cfg := local.Config{ExtentSize: 64 << 10, SegmentSize: 1 << 20}
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", random(300_000, 1))
	put(t, s, "b", random(30_000, 2))
	put(t, s, "c", random(30_000, 3))
	if err := s.Delete(t.Context(), object.DeleteRequest{Bucket: "bucket", Key: "c"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mem = mem.CrashClone(vfs.CrashCloneCfg{})
		s = open(t, disk.New(mem), cfg)
		if got, err := get(s, "a", nil); err != nil || !bytes.Equal(got, random(300_000, 1)) {
			t.Errorf("a: %d bytes, %v", len(got), err)
		}
		if got, err := get(s, "b", nil); err != nil || !bytes.Equal(got, random(30_000, 2)) {
			t.Errorf("b: %d bytes, %v", len(got), err)
		}
		if _, err := get(s, "c", nil); !errors.Is(err, fault.NotFound) {
			t.Errorf("c: %v", err)
		}
		put(t, s, "d", []byte("d"))
	}
}
