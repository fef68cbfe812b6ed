package local

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// ListUploads implements object.Store.
func (s *Store) ListUploads(_ context.Context, req object.UploadListRequest) (object.UploadPage, error) {
	const op = "list uploads"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return object.UploadPage{}, err
	}
	page, err := s.listUploads(b, &req)
	return page, wrap(op, fault.Bucket, string(req.Bucket), err)
}

func (s *Store) listUploads(b *bucket, req *object.UploadListRequest) (page object.UploadPage, err error) {
	base := index.UploadsOf(b.incarnation)
	it, err := s.index.Iter(index.System, append(slices.Clip(base), req.Prefix...))
	if err != nil {
		return page, err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	limit := min(max(req.Max, 0), object.MaxListEntries)
	for ok := startUploads(it, base, req); ok; {
		key, id, valid := index.ParseUpload(it.Key())
		if !valid {
			return page, errAttrs(req.Bucket, "")
		}
		name := hex.EncodeToString(id[:])
		if string(key) == req.AfterKey && name <= string(req.AfterUpload) {
			ok = it.Next()
			continue
		}
		if len(page.Entries) == limit {
			page.NextKey, page.NextUpload = lastUpload(page.Entries)
			return page, nil
		}
		if common, rolled := commonPrefix(string(key), req.Prefix, req.Delimiter); rolled {
			page.Entries = append(page.Entries, object.UploadEntry{Prefix: common})
			ok = seekBehind(it, base, common)
			continue
		}
		e, err := it.Entry()
		if err != nil {
			return page, err
		}
		info, _, err := parseInfo(req.Bucket, object.Key(key), &e, false)
		if err != nil {
			return page, err
		}
		page.Entries = append(page.Entries, object.UploadEntry{Upload: uploadInfo(req.Bucket, object.Key(key), id, &info)})
		ok = it.Next()
	}
	return page, nil
}

// startUploads moves to the first upload that may be listed.
func startUploads(it *index.Iter, base []byte, req *object.UploadListRequest) bool {
	if req.AfterKey == "" || req.AfterKey < req.Prefix {
		return it.First()
	}
	if common, rolled := commonPrefix(req.AfterKey, req.Prefix, req.Delimiter); rolled {
		return seekBehind(it, base, common)
	}
	at := append(append(slices.Clip(base), req.AfterKey...), 0)
	if req.AfterUpload == "" {
		at[len(at)-1] = 1 // behind the NUL that ends the key
	}
	return it.Seek(at)
}

func commonPrefix(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" || !strings.HasPrefix(key, prefix) {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

// seekBehind moves behind all uploads of keys that begin with common.
func seekBehind(it *index.Iter, base []byte, common string) bool {
	at := append(slices.Clip(base), common...)
	for i := len(at) - 1; i >= len(base); i-- {
		if at[i]++; at[i] != 0 {
			return it.Seek(at[:i+1])
		}
	}
	return false
}

func lastUpload(entries []object.UploadEntry) (string, object.UploadID) {
	if len(entries) == 0 {
		return "", ""
	}
	last := &entries[len(entries)-1]
	if last.Prefix != "" {
		return last.Prefix, ""
	}
	return string(last.Upload.Key), last.Upload.ID
}
