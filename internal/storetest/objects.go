package storetest

import (
	"bytes"
	"crypto/md5" //nolint:gosec // ETags are MD5
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func objectCases() []testCase {
	return []testCase{
		{"bodies of every size come back", bodySizes},
		{"a body of unknown length", unknownSize},
		{"a body that comes in drops", slowBody},
		{"all that is known of it comes back", description},
		{"what is returned is the caller's", infoAliasing},
		{"checksums of every algorithm are kept", checksumsKept},
		{"keys are opaque bytes", opaqueKeys},
		{"an overwrite is a later version", overwrite},
		{"a deleted object is gone", deleted},
		{"tags are replaced, and nothing else", setTags},
		{"buckets do not mix", bucketsApart},
		{"an open body outlives its object", outlive},
		{"a large open body outlives its object", outliveLarge},
		{"a body may be left unread", unread},
	}
}

// The sizes around what stores pack, block and stage.
func sizes() []int {
	return []int{
		0, 1, 100, 4095, 4096, 4097, 16<<10 - 1, 16 << 10, 16<<10 + 1, 46_000,
		64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 1<<20 + 17, 8 << 20, 8<<20 + 1, 17<<20 + 3,
	}
}

func bodySizes(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	each(f, sizes(), func(f *fixture, size int) {
		body := noise(uint64(size), size)
		before := time.Now().Add(-time.Second)
		info := f.put("k", body)
		if info.Size != int64(size) || info.Bucket != home || info.Key != "k" || info.Version == 0 || info.Parts != 0 {
			f.Errorf("stored as %+v", info)
		}
		if want := object.ETag(fmt.Sprintf("%x", md5.Sum(body))); info.Digest.ETag != want { //nolint:gosec // see the import
			f.Errorf("ETag %s, want %s", info.Digest.ETag, want)
		}
		if info.Modified.Before(before) {
			f.Errorf("modified at %v, before it was stored", info.Modified)
		}
		f.wantInfo(info, f.wantBody("k", body))
	})
}

func unknownSize(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	for _, size := range []int{0, 5, 100_000, 9 << 20} {
		body := noise(uint64(size), size)
		info := f.putWith(object.PutRequest{Bucket: home, Key: "k", Content: Body(body), Size: -1})
		f.wantInfo(info, f.wantBody("k", body))
	}
}

// drops reads a byte at a time, and io.EOF beside the last.
type drops struct{ rest []byte }

func (d *drops) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := copy(p[:1], d.rest)
	if d.rest = d.rest[n:]; len(d.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func slowBody(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	for _, size := range []int{0, 1, 3000, 70_000} {
		body := noise(uint64(size), size)
		f.putWith(object.PutRequest{
			Bucket: home, Key: "k", Content: NewContent(&drops{body}, object.NoChecksum), Size: int64(size),
		})
		f.wantBody("k", body)
	}
}

func fullMeta() object.Meta {
	return object.Meta{
		ContentType: "text/plain; charset=utf-8", ContentEncoding: "gzip", ContentDisposition: `attachment; filename="ü"`,
		ContentLanguage: "de, en", CacheControl: "no-store", Expires: "Wed, 21 Oct 2026 07:28:00 GMT",
		StorageClass: "REDUCED_REDUNDANCY",
		User:         map[string]string{"a": "b", "empty": "", "long": strings.Repeat("x", 1900), "utf8": "größe"},
	}
}

func description(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	tags := make([]object.Tag, object.MaxTags)
	for i := range tags {
		tags[i] = object.Tag{Key: fmt.Sprint("tag ", object.MaxTags-i), Value: strings.Repeat("ä", 128)}
	}
	info := f.putWith(object.PutRequest{
		Bucket: home, Key: "k", Content: Body([]byte("body")), Size: 4, Meta: fullMeta(), Tags: tags,
	})
	got := f.wantBody("k", []byte("body"))
	f.wantInfo(info, got)
	if diff := cmp.Diff(fullMeta(), got.Meta); diff != "" {
		f.Errorf("metadata (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tags, got.Tags); diff != "" {
		f.Errorf("tags (-want +got):\n%s", diff)
	}
	page, err := f.List(f.ctx, object.ListRequest{Bucket: home, Max: 1})
	if err != nil || len(page.Entries) != 1 {
		f.Fatalf("list: %+v, %v", page, err)
	}
	maybe := cmpopts.IgnoreFields(object.Info{}, "Tags", "Meta")
	if diff := cmp.Diff(info, page.Entries[0].Info, maybe, cmpopts.IgnoreFields(object.Digest{}, "MD5")); diff != "" {
		f.Errorf("listed otherwise (-want +got):\n%s", diff)
	}
}

func infoAliasing(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	req := object.PutRequest{
		Bucket: home, Key: "k", Content: Body([]byte("body")), Size: 4,
		Meta: fullMeta(), Tags: []object.Tag{{Key: "k", Value: "kept"}},
	}
	info := f.putWith(req)
	req.Meta.User["a"], req.Tags[0].Value = "X", "X"
	info.Meta.User["a"], info.Tags[0].Key = "X", "X"
	got, err := f.Head(f.ctx, home, "k")
	if err != nil || got.Meta.User["a"] != "b" || got.Tags[0] != (object.Tag{Key: "k", Value: "kept"}) {
		f.Errorf("got %+v, %v: the store shares memory with its caller", got, err)
	}
}

func checksumsKept(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(1, 70_000)
	for _, a := range []object.Algorithm{object.CRC32, object.CRC32C, object.CRC64NVME, object.SHA1, object.SHA256} {
		h := a.NewHash()
		h.Write(body)
		want := object.Checksum{Algorithm: a, Value: h.Sum(nil)}
		info := f.putWith(object.PutRequest{Bucket: home, Key: "k", Content: NewContent(bytes.NewReader(body), a), Size: 70_000})
		got := f.wantBody("k", body)
		f.wantInfo(info, got)
		if diff := cmp.Diff(want, got.Digest.Checksum); diff != "" {
			f.Errorf("checksum (-want +got):\n%s", diff)
		}
	}
}

// The keys that a file system, a URL or a careless cleaner would spoil.
func strangeKeys() []object.Key {
	return []object.Key{
		"a", "a/", "a/b", "a//b", "/", "//", "/a", ".", "..", "../a", "a/../b", "a/./b", "./a", " ", "a ", " a",
		"a+b", "a%2Fb", "%", "%00", "a?b", "a#b", "a&b=c", `a\b`, `C:\a`, "A", "CON", "\x01", "a\nb", "a\x7f", "\t",
		"ä", "a\u0308", "日本語/キー", "\U0001F600", "\ufeff", "\ufffd", "\U0010ffff", "a\u202eb", "\u0080", "key:with:colons", "*", "a*",
		object.Key(strings.Repeat("k", object.MaxKeyLen)), object.Key(strings.Repeat("/", object.MaxKeyLen)),
		object.Key(strings.Repeat("ü", object.MaxKeyLen/2)), object.Key(strings.Repeat("a/", 511) + "ab"),
	}
}

func opaqueKeys(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	for _, key := range strangeKeys() {
		f.put(key, []byte("body of "+key))
	}
	f.wantUsage(home, int64(len(strangeKeys())), f.sumKeys(strangeKeys()))
	for _, key := range strangeKeys() {
		if info := f.wantBody(key, []byte("body of "+key)); info.Key != key {
			f.Errorf("%q is described as %q", key, info.Key)
		}
	}
	f.delete("a/")
	f.wantAbsent("a/")
	f.wantBody("a", []byte("body of a"))
	f.wantBody("a/b", []byte("body of a/b"))
}

func (f *fixture) sumKeys(keys []object.Key) int64 {
	var size int64
	for _, key := range keys {
		size += int64(len("body of " + key))
	}
	return size
}

func overwrite(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	var last object.Info
	for i := range 20 {
		body := noise(uint64(i), 3000*(i%7))
		info := f.put("k", body)
		if info.Version <= last.Version {
			f.Errorf("version %d follows %d", info.Version, last.Version)
		}
		f.wantInfo(info, f.wantBody("k", body))
		last = info
	}
	f.wantUsage(home, 1, last.Size)
	if got := f.keys(object.ListRequest{Bucket: home, Max: 10}); len(got) != 1 {
		f.Errorf("listed as %q, want one key", got)
	}
}

func deleted(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.delete("never")
	first := f.put("k", []byte("one"))
	f.delete("k")
	f.wantAbsent("k")
	f.delete("k")
	f.wantFault(f.SetTags(f.ctx, home, "k", nil), fault.NotFound, fault.Object)
	_, err := f.ObjectParts(f.ctx, home, "k", 0, 10)
	f.wantFault(err, fault.NotFound, fault.Object)
	second := f.put("k", []byte("two"))
	if second.Version <= first.Version {
		f.Errorf("version %d after a delete follows %d", second.Version, first.Version)
	}
	f.wantBody("k", []byte("two"))
}

func setTags(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	want := f.putWith(object.PutRequest{
		Bucket: home, Key: "k", Content: Body(noise(1, 100_000)), Size: 100_000, Meta: fullMeta(),
		Tags: []object.Tag{{Key: "old", Value: "1"}},
	})
	for _, tags := range [][]object.Tag{{{Key: "b", Value: "2"}, {Key: "a", Value: ""}}, nil, {{Key: "c", Value: "3"}}} {
		if err := f.SetTags(f.ctx, home, "k", tags); err != nil {
			f.Fatal(err)
		}
		want.Tags = tags
		f.wantInfo(want, f.wantBody("k", noise(1, 100_000)))
	}
	f.put("k", []byte("new"))
	if got := f.wantBody("k", []byte("new")); len(got.Tags) != 0 {
		f.Errorf("an overwrite kept the tags %v", got.Tags)
	}
}

func bucketsApart(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.newBucket("homf", object.BucketConfig{})
	f.newBucket("home2", object.BucketConfig{})
	f.put("k", []byte("home"))
	f.putWith(object.PutRequest{Bucket: "homf", Key: "k", Content: Body([]byte("x")), Size: 1})
	f.putWith(object.PutRequest{Bucket: "home2", Key: "k2", Content: Body([]byte("y")), Size: 1})
	if err := f.Delete(f.ctx, object.DeleteRequest{Bucket: "homf", Key: "k"}); err != nil {
		f.Fatal(err)
	}
	f.wantBody("k", []byte("home"))
	f.wantAbsent("k2")
	if got := f.keys(object.ListRequest{Bucket: home, Max: 10}); len(got) != 1 || got[0] != "k" {
		f.Errorf("home lists %q", got)
	}
}

func outlive(f *fixture)      { f.outlive(46_000) }
func outliveLarge(f *fixture) { f.outlive(17<<20 + 3) }

// outlive opens a body, takes its object away in every manner, and reads it.
func (f *fixture) outlive(size int) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(9, size)
	ends := map[string]func(){
		"overwrite": func() { f.put("k", noise(8, size)) },
		"delete":    func() { f.delete("k") },
		"delete and store again": func() {
			f.delete("k")
			for i := range 20 {
				f.put("k", noise(uint64(i), size/20))
			}
		},
		"delete with its bucket": func() {
			f.delete("k")
			if err := f.DeleteBucket(f.ctx, home); err != nil {
				f.Fatal(err)
			}
			f.newBucket(home, object.BucketConfig{})
		},
	}
	for name, end := range ends {
		info := f.put("k", body)
		r, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "k"})
		if err != nil {
			f.Fatal(err)
		}
		first := make([]byte, size/3)
		if _, err := io.ReadFull(r.Body, first); err != nil {
			f.Fatal(err)
		}
		end()
		f.same(name, body, append(first, f.drain(r)...))
		f.wantInfo(info, r.Info)
	}
}

func unread(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.put("k", noise(1, 1<<20))
	for range 200 {
		r, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "k"})
		if err != nil {
			f.Fatal(err)
		}
		if err := r.Body.Close(); err != nil {
			f.Fatalf("close: %v", err)
		}
		_ = r.Body.Close() // again: harmless
	}
	f.wantBody("k", noise(1, 1<<20))
	f.delete("k")
}
