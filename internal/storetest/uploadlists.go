package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/larder-cache/larder/internal/object"
)

func uploadListCases() []testCase {
	return []testCase{
		{"by key, then by upload, in pages", listUploads},
		{"prefixes and delimiters", listUploadFolders},
		{"only what is in progress", listUploadsInProgress},
	}
}

// uploads lists the uploads of home in pages: "key id", or a prefix.
func (f *fixture) uploads(req object.UploadListRequest) []string {
	f.Helper()
	req.Bucket = home
	var names []string
	for {
		page, err := f.ListUploads(f.ctx, req)
		if err != nil {
			f.Fatalf("list uploads: %v", err)
		}
		if len(page.Entries) > req.Max || page.NextKey != "" && len(page.Entries) != req.Max {
			f.Fatalf("a page of %d, of at most %d, next %q", len(page.Entries), req.Max, page.NextKey)
		}
		for _, entry := range page.Entries {
			if entry.Prefix != "" {
				names = append(names, entry.Prefix)
				continue
			}
			names = append(names, fmt.Sprint(entry.Upload.Key, " ", entry.Upload.ID))
		}
		if page.NextKey == "" {
			return names
		}
		req.AfterKey, req.AfterUpload = page.NextKey, page.NextUpload
	}
}

func listUploads(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	var want []string
	begun := map[object.UploadID]object.Upload{}
	for _, key := range []object.Key{"b", "a", "c", "b", "a/b", "b", "a", "ü"} {
		u := f.begin(object.UploadRequest{Bucket: home, Key: key, Meta: fullMeta(), Checksum: object.CRC32})
		want = append(want, fmt.Sprint(key, " ", u.ID))
		begun[u.ID] = u
	}
	slices.SortFunc(want, func(x, y string) int {
		xKey, xID, _ := strings.Cut(x, " ")
		yKey, yID, _ := strings.Cut(y, " ")
		if c := strings.Compare(xKey, yKey); c != 0 {
			return c
		}
		return strings.Compare(xID, yID)
	})
	for _, size := range []int{1, 2, 3, 8, 1000} {
		if diff := cmp.Diff(want, f.uploads(object.UploadListRequest{Max: size})); diff != "" {
			f.Errorf("in pages of %d (-want +got):\n%s", size, diff)
		}
	}
	if diff := cmp.Diff(want[len(want)-2:], f.uploads(object.UploadListRequest{AfterKey: "b", Max: 10})); diff != "" {
		f.Errorf("after a key (-want +got):\n%s", diff)
	}
	page, err := f.ListUploads(f.ctx, object.UploadListRequest{Bucket: home, Max: 1000})
	if err != nil {
		f.Fatal(err)
	}
	some := cmpopts.IgnoreFields(object.Upload{}, "Meta", "Tags")
	for _, entry := range page.Entries {
		if diff := cmp.Diff(begun[entry.Upload.ID], entry.Upload, some); diff != "" {
			f.Errorf("listed otherwise than begun (-want +got):\n%s", diff)
		}
	}
}

func listUploadFolders(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	for _, key := range []object.Key{"a/1", "a/2", "a/b/3", "b", "c/1", "a/1"} {
		f.begin(object.UploadRequest{Bucket: home, Key: key})
	}
	names := func(req object.UploadListRequest) []string {
		var short []string
		for _, name := range f.uploads(req) {
			key, _, _ := strings.Cut(name, " ")
			short = append(short, key)
		}
		return short
	}
	tests := []struct {
		req  object.UploadListRequest
		want string
	}{
		{object.UploadListRequest{Delimiter: "/"}, "a/ b c/"},
		{object.UploadListRequest{Prefix: "a/"}, "a/1 a/1 a/2 a/b/3"},
		{object.UploadListRequest{Prefix: "a/", Delimiter: "/"}, "a/1 a/1 a/2 a/b/"},
		{object.UploadListRequest{Prefix: "a/", AfterKey: "a/1"}, "a/2 a/b/3"},
		{object.UploadListRequest{Delimiter: "/", AfterKey: "a/"}, "b c/"},
		{object.UploadListRequest{Prefix: "x"}, ""},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 2, 1000} {
			tt.req.Max = size
			if diff := cmp.Diff(strings.Fields(tt.want), names(tt.req), cmpopts.EquateEmpty()); diff != "" {
				f.Errorf("%+v (-want +got):\n%s", tt.req, diff)
			}
		}
	}
}

func listUploadsInProgress(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	done, aborted, open := f.begin(object.UploadRequest{Bucket: home, Key: "done"}),
		f.begin(object.UploadRequest{Bucket: home, Key: "aborted"}), f.begin(object.UploadRequest{Bucket: home, Key: "open"})
	f.complete(completion(done, f.part(done, 1, []byte("x"))))
	if err := f.AbortUpload(f.ctx, home, "aborted", aborted.ID); err != nil {
		f.Fatal(err)
	}
	if diff := cmp.Diff([]string{fmt.Sprint("open ", open.ID)}, f.uploads(object.UploadListRequest{Max: 10})); diff != "" {
		f.Errorf("(-want +got):\n%s", diff)
	}
	if got := f.keys(object.ListRequest{Bucket: home, Max: 10}); len(got) != 1 || got[0] != "done" {
		f.Errorf("objects %q, want the completed one", got)
	}
}
