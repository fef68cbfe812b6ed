package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func conditionCases() []testCase {
	return []testCase{
		{"reading", conditionalRead},
		{"creating once", createOnce},
		{"comparing before writing", compareAndSwap},
		{"comparing before deleting", compareAndDelete},
		{"of many that create, one wins", createOnceRace},
		{"many that compare lose nothing", compareRace},
		{"of many that delete and create, histories are one line", deleteRace},
	}
}

func conditionalRead(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	info := f.put("k", []byte("body"))
	tag, other := info.Digest.ETag, object.ETag("00000000000000000000000000000000")
	before, after := info.Modified.Add(-time.Hour), info.Modified.Add(time.Hour)
	tests := []struct {
		name string
		p    object.Precondition
		want fault.Kind // Internal: none
	}{
		{"If-Match", object.Precondition{IfMatch: []object.ETag{other, tag}}, 0},
		{"If-Match *", object.Precondition{IfMatch: []object.ETag{object.AnyETag}}, 0},
		{"If-Match another", object.Precondition{IfMatch: []object.ETag{other}}, fault.Precondition},
		{"If-None-Match", object.Precondition{IfNoneMatch: []object.ETag{other, tag}}, fault.NotModified},
		{"If-None-Match *", object.Precondition{IfNoneMatch: []object.ETag{object.AnyETag}}, fault.NotModified},
		{"If-None-Match another", object.Precondition{IfNoneMatch: []object.ETag{other}}, 0},
		{"If-Modified-Since before", object.Precondition{IfModifiedSince: before}, 0},
		{"If-Modified-Since after", object.Precondition{IfModifiedSince: after}, fault.NotModified},
		{"If-Unmodified-Since before", object.Precondition{IfUnmodifiedSince: before}, fault.Precondition},
		{"If-Unmodified-Since after", object.Precondition{IfUnmodifiedSince: after}, 0},
		{"the ETag outranks the date", object.Precondition{IfMatch: []object.ETag{tag}, IfUnmodifiedSince: before}, 0},
		{"the ETag outranks the date", object.Precondition{IfNoneMatch: []object.ETag{other}, IfModifiedSince: after}, 0},
	}
	for _, tt := range tests {
		r, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "k", If: tt.p})
		if tt.want == fault.Internal {
			if err != nil {
				f.Errorf("%s: %v", tt.name, err)
				continue
			}
			f.same(tt.name, []byte("body"), f.drain(r))
			continue
		}
		if !errors.Is(err, tt.want) || r == nil || r.Body != nil {
			f.Errorf("%s: got %v with %+v, want %v with a description and no body", tt.name, err, r, tt.want)
			continue
		}
		f.wantInfo(info, r.Info)
	}
	_, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "none", If: object.Precondition{IfMatch: []object.ETag{tag}}})
	f.wantFault(err, fault.NotFound, fault.Object)
}

// putIf stores under a precondition.
func (f *fixture) putIf(key object.Key, body string, p object.Precondition) (object.Info, error) {
	return f.Put(f.ctx, object.PutRequest{Bucket: home, Key: key, Content: Body([]byte(body)), Size: int64(len(body)), If: p})
}

func ifNone() object.Precondition {
	return object.Precondition{IfNoneMatch: []object.ETag{object.AnyETag}}
}

func ifTag(tags ...object.ETag) object.Precondition { return object.Precondition{IfMatch: tags} }

// lacks reports whether the store has no such capability, and that it says so.
func (f *fixture) lacks(capability bool, err error) bool {
	f.Helper()
	if !capability && !errors.Is(err, fault.Unsupported) {
		f.Errorf("a capability that the store denies: got %v, want %v", err, fault.Unsupported)
	}
	return !capability
}

func createOnce(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	first, err := f.putIf("k", "one", ifNone())
	if f.lacks(f.Caps().CreateOnce, err) {
		return
	}
	if err != nil {
		f.Fatal(err)
	}
	_, err = f.putIf("k", "two", ifNone())
	f.wantFault(err, fault.Precondition, fault.Object)
	f.wantInfo(first, f.wantBody("k", []byte("one")))
	f.delete("k")
	if _, err = f.putIf("k", "three", ifNone()); err != nil {
		f.Errorf("after a delete: %v", err)
	}
	f.wantBody("k", []byte("three"))
	f.wantUsage(home, 1, 5)
}

func compareAndSwap(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	_, err := f.putIf("none", "x", ifTag(object.AnyETag))
	if f.lacks(f.Caps().CompareAndSwap, err) {
		return
	}
	f.wantFault(err, fault.NotFound, fault.Object)
	f.wantAbsent("none")
	one := f.put("k", []byte("one"))
	two, err := f.putIf("k", "two", ifTag("00000000000000000000000000000000", one.Digest.ETag))
	if err != nil {
		f.Fatal(err)
	}
	_, err = f.putIf("k", "three", ifTag(one.Digest.ETag))
	f.wantFault(err, fault.Precondition, fault.Object)
	f.wantInfo(two, f.wantBody("k", []byte("two")))
	_, err = f.putIf("k", "three", object.Precondition{IfNoneMatch: []object.ETag{two.Digest.ETag}})
	f.wantFault(err, fault.Precondition, fault.Object)
	if _, err = f.putIf("k", "four", object.Precondition{IfNoneMatch: []object.ETag{one.Digest.ETag}}); err != nil {
		f.Errorf("If-None-Match of another tag: %v", err)
	}
	f.wantBody("k", []byte("four"))
}

func compareAndDelete(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	info := f.put("k", []byte("one"))
	err := f.Delete(f.ctx, object.DeleteRequest{Bucket: home, Key: "k", If: ifTag("00000000000000000000000000000000")})
	if f.lacks(f.Caps().CompareAndSwap, err) {
		return
	}
	f.wantFault(err, fault.Precondition, fault.Object)
	f.wantBody("k", []byte("one"))
	if err := f.Delete(f.ctx, object.DeleteRequest{Bucket: home, Key: "k", If: ifTag(info.Digest.ETag)}); err != nil {
		f.Error(err)
	}
	f.wantAbsent("k")
	err = f.Delete(f.ctx, object.DeleteRequest{Bucket: home, Key: "k", If: ifTag(info.Digest.ETag)})
	f.wantFault(err, fault.NotFound, fault.Object)
}

func createOnceRace(f *fixture) {
	if !f.Caps().CreateOnce {
		return
	}
	f.newBucket(home, object.BucketConfig{})
	const rivals, rounds = 16, 10
	for round := range rounds {
		key := object.Key(fmt.Sprint("k", round))
		errs := make([]error, rivals)
		var group sync.WaitGroup
		for i := range rivals {
			group.Go(func() { _, errs[i] = f.putIf(key, fmt.Sprint("rival ", i), ifNone()) })
		}
		group.Wait()
		winner := slices.Index(errs, nil)
		if winner < 0 {
			f.Fatalf("nobody won: %v", errs[0])
		}
		for i, err := range errs {
			if i != winner {
				f.wantFault(err, fault.Precondition, fault.Object)
			}
		}
		f.wantBody(key, []byte(fmt.Sprint("rival ", winner)))
	}
}

func compareRace(f *fixture) {
	if !f.Caps().CompareAndSwap {
		return
	}
	f.newBucket(home, object.BucketConfig{})
	f.put("counter", []byte("0"))
	const writers, rounds = 6, 10
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for done := 0; done < rounds && !f.Failed(); {
				r, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "counter"})
				if err != nil {
					f.Errorf("get: %v", err)
					return
				}
				n, err := strconv.Atoi(string(f.drain(r)))
				if err != nil {
					f.Error(err)
					return
				}
				_, err = f.putIf("counter", strconv.Itoa(n+1), ifTag(r.Info.Digest.ETag))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, fault.Precondition):
					f.Errorf("put: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	f.wantBody("counter", []byte(strconv.Itoa(writers*rounds)))
}

// deleteRace counts successful creations and conditional deletions of one key:
// they must alternate, so their numbers differ by whether it exists at the end.
func deleteRace(f *fixture) {
	if caps := f.Caps(); !caps.CreateOnce || !caps.CompareAndSwap {
		return
	}
	f.newBucket(home, object.BucketConfig{})
	const writers, rounds = 8, 20
	var mu sync.Mutex
	created, deleted := 0, 0
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for range rounds {
				var err error
				if i%2 == 0 {
					_, err = f.putIf("k", "same body", ifNone())
				} else {
					err = f.Delete(f.ctx, object.DeleteRequest{Bucket: home, Key: "k", If: ifTag(object.AnyETag)})
				}
				mu.Lock()
				switch {
				case err == nil && i%2 == 0:
					created++
				case err == nil:
					deleted++
				case !errors.Is(err, fault.Precondition) && !errors.Is(err, fault.NotFound):
					f.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	exists := 1
	if _, err := f.Head(f.ctx, home, "k"); err != nil {
		exists = 0
	}
	if created-deleted != exists {
		f.Errorf("%d creations and %d deletions succeeded, and it exists %d times", created, deleted, exists)
	}
	f.wantUsage(home, int64(exists), int64(exists*len("same body")))
}
