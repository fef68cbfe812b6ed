package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/larder-cache/larder/internal/object"
)

func listCases() []testCase {
	return []testCase{
		{"an empty bucket", emptyList},
		{"byte order, pages, prefixes, delimiters", listTable},
		{"strange keys, in pages of every size", strangeList},
		{"thousands of keys", longList},
		{"a rolled-up prefix as After skips what is below", skipPrefix},
		{"against a plain list, at random", randomList},
		{"during writes", listDuringWrites},
	}
}

func emptyList(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	page, err := f.List(f.ctx, object.ListRequest{Bucket: home, Prefix: "a", Delimiter: "/", After: "a/b", Max: 1})
	if err != nil || len(page.Entries) != 0 || page.Next != "" {
		f.Errorf("got %+v, %v", page, err)
	}
}

// fill stores empty objects.
func (f *fixture) fill(keys ...string) {
	f.Helper()
	for _, key := range keys {
		f.put(object.Key(key), nil)
	}
}

func listTable(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.fill("a", "a/b", "a/c/d", "a/c/e", "a0", "b/", "b/x", "b//y", "c", "c-d", "c-e", "Z", "é", "a/")
	tests := []struct {
		name string
		req  object.ListRequest
		want string
	}{
		{"all", object.ListRequest{}, "Z a a/ a/b a/c/d a/c/e a0 b/ b//y b/x c c-d c-e é"},
		{"delimiter", object.ListRequest{Delimiter: "/"}, "Z a a/ a0 b/ c c-d c-e é"},
		{"prefix", object.ListRequest{Prefix: "a"}, "a a/ a/b a/c/d a/c/e a0"},
		{"prefix that is a folder", object.ListRequest{Prefix: "a/"}, "a/ a/b a/c/d a/c/e"},
		{"folder with delimiter", object.ListRequest{Prefix: "a/", Delimiter: "/"}, "a/ a/b a/c/"},
		{"prefix that ends inside", object.ListRequest{Prefix: "a/c", Delimiter: "/"}, "a/c/"},
		{"double delimiter", object.ListRequest{Prefix: "b/", Delimiter: "/"}, "b/ b// b/x"},
		{"another delimiter", object.ListRequest{Delimiter: "-"}, "Z a a/ a/b a/c/d a/c/e a0 b/ b//y b/x c c- é"},
		{"a long delimiter", object.ListRequest{Delimiter: "c/"}, "Z a a/ a/b a/c/ a0 b/ b//y b/x c c-d c-e é"},
		{"no such prefix", object.ListRequest{Prefix: "nothing"}, ""},
		{"after a key", object.ListRequest{After: "a/b"}, "a/c/d a/c/e a0 b/ b//y b/x c c-d c-e é"},
		{"after what is not there", object.ListRequest{After: "a/bb"}, "a/c/d a/c/e a0 b/ b//y b/x c c-d c-e é"},
		{"after the last", object.ListRequest{After: "é"}, ""},
		{"after, before the prefix", object.ListRequest{Prefix: "c", After: "a"}, "c c-d c-e"},
		{"after, behind the prefix", object.ListRequest{Prefix: "a", After: "b"}, ""},
		{"after, inside the prefix", object.ListRequest{Prefix: "c", After: "c-d"}, "c-e"},
		{"after a folder", object.ListRequest{Delimiter: "/", After: "a/"}, "a0 b/ c c-d c-e é"},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 2, 3, 1000} {
			req := tt.req
			req.Bucket, req.Max = home, size
			if diff := cmp.Diff(strings.Fields(tt.want), f.keys(req), cmpopts.EquateEmpty()); diff != "" {
				f.Errorf("%s, in pages of %d (-want +got):\n%s", tt.name, size, diff)
			}
		}
	}
	page, err := f.List(f.ctx, object.ListRequest{Bucket: home, Max: 14})
	if err != nil || len(page.Entries) != 14 || page.Next != "" {
		f.Errorf("a page that fits exactly: %d entries, next %q, %v", len(page.Entries), page.Next, err)
	}
	page, err = f.List(f.ctx, object.ListRequest{Bucket: home, Delimiter: "/", Max: 9})
	if err != nil || len(page.Entries) != 9 || page.Next != "" {
		f.Errorf("a rolled-up page that fits exactly: %d entries, next %q, %v", len(page.Entries), page.Next, err)
	}
	for _, entry := range page.Entries {
		if entry.Prefix != "" && entry.Info.Key != "" {
			f.Errorf("an entry is both prefix and key: %+v", entry)
		}
	}
}

func strangeList(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	var all []string
	for _, key := range strangeKeys() {
		f.put(key, nil)
		all = append(all, string(key))
	}
	for _, delimiter := range []string{"", "/", "a", "//", "\U0010ffff"} {
		want := expectedList(all, object.ListRequest{Delimiter: delimiter})
		for _, size := range []int{1, 7, 1000} {
			got := f.keys(object.ListRequest{Bucket: home, Delimiter: delimiter, Max: size})
			if diff := cmp.Diff(want, got); diff != "" {
				f.Errorf("delimiter %q, pages of %d (-want +got):\n%s", delimiter, size, diff)
			}
		}
	}
}

func longList(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	const folders, files = 25, 100
	var all []string
	for i := range folders * files {
		all = append(all, fmt.Sprintf("%02d/%04d", i%folders, i))
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	f.inParallel(all, func(key string) { f.put(object.Key(key), []byte("x")) })
	f.wantUsage(home, folders*files, folders*files)
	f.inParallel(all[:500], func(key string) { f.delete(object.Key(key)) })
	all = all[500:]
	for _, req := range []object.ListRequest{
		{Max: 1000}, {Max: 333}, {Max: 7, Prefix: "07/"}, {Max: 3, Delimiter: "/"}, {Max: 1000, Delimiter: "/"},
	} {
		req.Bucket = home
		if diff := cmp.Diff(expectedList(all, req), f.keys(req), cmpopts.EquateEmpty()); diff != "" {
			f.Errorf("%+v (-want +got):\n%s", req, diff)
		}
	}
}

// inParallel runs do for all, by eight at once.
func (f *fixture) inParallel(all []string, do func(string)) {
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := i; j < len(all); j += 8 {
				do(all[j])
			}
		})
	}
	group.Wait()
}

func skipPrefix(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.fill("a/1", "a/2", "a/3", "b", "c/1", "c/2", "d")
	page, err := f.List(f.ctx, object.ListRequest{Bucket: home, Delimiter: "/", Max: 1})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Prefix != "a/" || page.Next == "" {
		f.Fatalf("got %+v, %v", page, err)
	}
	got := f.keys(object.ListRequest{Bucket: home, Delimiter: "/", After: page.Next, Max: 2})
	if diff := cmp.Diff([]string{"b", "c/", "d"}, got); diff != "" {
		f.Errorf("after the folder (-want +got):\n%s", diff)
	}
}

// expectedList is the contract in its plainest words.
func expectedList(keys []string, req object.ListRequest) []string {
	var names []string
	for _, key := range keys {
		rest, ok := strings.CutPrefix(key, req.Prefix)
		if !ok {
			continue
		}
		if req.Delimiter != "" {
			if before, _, found := strings.Cut(rest, req.Delimiter); found {
				key = req.Prefix + before + req.Delimiter
			}
		}
		if key > req.After {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func randomList(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	random := rand.New(rand.NewPCG(4, 2))
	word := func() string {
		letters := []string{"a", "b", "/", "/", "\u00ff", "ab", "\x01", "\x7f"}
		var w strings.Builder
		for range random.IntN(6) {
			w.WriteString(letters[random.IntN(len(letters))])
		}
		return w.String()
	}
	stored := map[string]bool{}
	for range 300 {
		if key := word(); key != "" && !stored[key] {
			stored[key] = true
			f.put(object.Key(key), nil)
		}
	}
	var all []string
	for key := range stored {
		all = append(all, key)
	}
	for range 300 {
		req := object.ListRequest{
			Bucket: home, Prefix: word(), After: word(), Max: 1 + random.IntN(20),
			Delimiter: []string{"", "/", "a", "b/"}[random.IntN(4)],
		}
		if diff := cmp.Diff(expectedList(all, req), f.keys(req), cmpopts.EquateEmpty()); diff != "" {
			f.Fatalf("%+v (-want +got):\n%s", req, diff)
		}
	}
}

func listDuringWrites(f *fixture) {
	if !f.Caps().StrongList {
		return
	}
	f.newBucket(home, object.BucketConfig{})
	var kept []string
	for i := range 50 {
		kept = append(kept, fmt.Sprintf("kept%02d", i))
	}
	f.fill(kept...)
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			key := object.Key(fmt.Sprintf("kept%02d-passing", i%50))
			f.put(key, nil)
			f.delete(key)
		}
	})
	for range 20 {
		var got []string
		for _, name := range f.keys(object.ListRequest{Bucket: home, Max: 9}) {
			if !strings.HasSuffix(name, "-passing") {
				got = append(got, name)
			}
		}
		if diff := cmp.Diff(kept, got); diff != "" {
			f.Errorf("a list lost or doubled what stayed (-want +got):\n%s", diff)
			break
		}
	}
	close(stop)
	group.Wait()
	// what was acknowledged is listed at once
	for i := range 50 {
		key := fmt.Sprintf("new%02d", i)
		f.fill(key)
		if got := f.keys(object.ListRequest{Bucket: home, Prefix: key, Max: 1}); len(got) != 1 {
			f.Fatalf("%s was stored and is not listed", key)
		}
	}
}
