package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// Run checks that the stores which open makes keep the contract. Each case opens
// its own, empty store; open registers what closes it with t.Cleanup. What a
// store's Caps deny must answer fault.Unsupported.
func Run(t *testing.T, open func(t *testing.T) object.Store) {
	t.Helper()
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Buckets", bucketCases()},
		{"Objects", objectCases()},
		{"Ranges", rangeCases()},
		{"Conditions", conditionCases()},
		{"Lists", listCases()},
		{"Copies", copyCases()},
		{"Quotas", quotaCases()},
		{"Uploads", uploadCases()},
		{"Completing", completeCases()},
		{"UploadLists", uploadListCases()},
		{"Logs", logCases()},
		{"Races", raceCases()},
		{"Failures", failureCases()},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					c.run(&fixture{T: t, Store: open(t), ctx: t.Context()})
				})
			}
		})
	}
}

// testCase is one promise of the contract.
type testCase struct {
	name string
	run  func(f *fixture)
}

// fixture is a store under test.
type fixture struct {
	*testing.T
	object.Store
	ctx context.Context //nolint:containedctx // the test's own
}

// home is the bucket in which most cases play.
const home object.BucketName = "home"

// newBucket makes a bucket.
func (f *fixture) newBucket(name object.BucketName, config object.BucketConfig) object.Bucket {
	f.Helper()
	b, err := f.CreateBucket(f.ctx, name, config)
	if err != nil {
		f.Fatalf("create bucket %s: %v", name, err)
	}
	return b
}

// put stores a body in home.
func (f *fixture) put(key object.Key, body []byte) object.Info {
	f.Helper()
	return f.putWith(object.PutRequest{Bucket: home, Key: key, Content: Body(body), Size: int64(len(body))})
}

func (f *fixture) putWith(req object.PutRequest) object.Info {
	f.Helper()
	info, err := f.Put(f.ctx, req)
	if err != nil {
		f.Fatalf("put %q: %v", req.Key, err)
	}
	return info
}

// delete removes a key of home.
func (f *fixture) delete(key object.Key) {
	f.Helper()
	if err := f.Delete(f.ctx, object.DeleteRequest{Bucket: home, Key: key}); err != nil {
		f.Fatalf("delete %q: %v", key, err)
	}
}

// read opens a body and reads it to its end.
func (f *fixture) read(req object.GetRequest) (*object.Reader, []byte) {
	f.Helper()
	r, err := f.Get(f.ctx, req)
	if err != nil {
		f.Fatalf("get %q: %v", req.Key, err)
	}
	return r, f.drain(r)
}

// drain reads the rest of a body and closes it.
func (f *fixture) drain(r *object.Reader) []byte {
	f.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.Fatalf("read %q: %v", r.Info.Key, err)
	}
	if err := r.Body.Close(); err != nil {
		f.Errorf("close %q: %v", r.Info.Key, err)
	}
	return body
}

// wantBody checks that a key of home has that body, by Get and by Head.
func (f *fixture) wantBody(key object.Key, want []byte) object.Info {
	f.Helper()
	r, got := f.read(object.GetRequest{Bucket: home, Key: key})
	f.same(string(key), want, got)
	if r.Offset != 0 || r.Length != int64(len(want)) || r.Info.Size != r.Length {
		f.Errorf("%q: offset %d, length %d, size %d; want 0 and %d", key, r.Offset, r.Length, r.Info.Size, len(want))
	}
	head, err := f.Head(f.ctx, home, key)
	if err != nil {
		f.Fatalf("head %q: %v", key, err)
	}
	f.wantInfo(r.Info, head)
	return head
}

// same compares two bodies without printing them whole.
func (f *fixture) same(what string, want, got []byte) {
	f.Helper()
	if bytes.Equal(want, got) {
		return
	}
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	f.Errorf("%s: got %d bytes, want %d; the first difference is at %d", what, len(got), len(want), i)
}

// wantInfo compares all that a store must tell of an object alike, however it is
// asked. The MD5 of an object is its own business.
func (f *fixture) wantInfo(want, got object.Info) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(object.Digest{}, "MD5")); diff != "" {
		f.Errorf("%q is described differently (-want +got):\n%s", want.Key, diff)
	}
}

// wantAbsent checks that a key of home is nowhere.
func (f *fixture) wantAbsent(key object.Key) {
	f.Helper()
	_, err := f.Head(f.ctx, home, key)
	f.wantFault(err, fault.NotFound, fault.Object)
	_, err = f.Get(f.ctx, object.GetRequest{Bucket: home, Key: key})
	f.wantFault(err, fault.NotFound, fault.Object)
	page, err := f.List(f.ctx, object.ListRequest{Bucket: home, Prefix: string(key), Max: object.MaxListEntries})
	if err != nil {
		f.Fatalf("list: %v", err)
	}
	for _, entry := range page.Entries {
		if entry.Info.Key == key {
			f.Errorf("%q is absent, and listed", key)
		}
	}
}

// wantFault checks an error's kind and noun.
func (f *fixture) wantFault(err error, kind fault.Kind, noun fault.Noun) {
	f.Helper()
	if err == nil {
		f.Errorf("no error; want %v: %v", noun, kind)
		return
	}
	if got := fault.As(err); got.Kind != kind || got.Noun != noun {
		f.Errorf("got %q (%v: %v), want %v: %v", err, got.Noun, got.Kind, noun, kind)
	}
}

// wantUsage checks what a bucket holds.
func (f *fixture) wantUsage(name object.BucketName, objects, size int64) {
	f.Helper()
	got, err := f.Usage(f.ctx, name)
	if want := (object.Usage{Objects: objects, Bytes: size}); err != nil || got != want {
		f.Errorf("usage of %s: got %+v, %v; want %+v", name, got, err, want)
	}
}

// keys lists the whole of home in pages of that size: names as they are, common
// prefixes too.
func (f *fixture) keys(req object.ListRequest) []string {
	f.Helper()
	var names []string
	for page := 0; ; page++ {
		got, err := f.List(f.ctx, req)
		if err != nil {
			f.Fatalf("list %+v: %v", req, err)
		}
		if len(got.Entries) > req.Max {
			f.Fatalf("a page of %d entries, of at most %d", len(got.Entries), req.Max)
		}
		for _, entry := range got.Entries {
			names = append(names, entryName(entry))
		}
		if got.Next == "" {
			return names
		}
		if len(got.Entries) != req.Max || page > 100_000 {
			f.Fatalf("a page of %d entries that is not the last, of %d", len(got.Entries), req.Max)
		}
		req.After = got.Next
	}
}

func entryName(entry object.Entry) string {
	if entry.Prefix != "" {
		return entry.Prefix
	}
	return string(entry.Info.Key)
}

// noise returns bytes that depend on the seed alone.
func noise(seed uint64, size int) []byte {
	body := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = source.Read(body)
	return body
}

// each runs one subtest per element.
func each[T any](f *fixture, all []T, run func(f *fixture, one T)) {
	for _, one := range all {
		f.Run(fmt.Sprint(one), func(t *testing.T) {
			run(&fixture{T: t, Store: f.Store, ctx: t.Context()}, one)
		})
	}
}
