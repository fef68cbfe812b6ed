package storetest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/object"
)

// List implements object.Objects.
func (m *Memory) List(ctx context.Context, req object.ListRequest) (object.Page, error) {
	if err := m.begin(ctx, "List"); err != nil {
		return object.Page{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(req.Bucket)
	if err != nil {
		return object.Page{}, err
	}
	limit := pageSize(req.Max)
	var page object.Page
	start, _ := slices.BinarySearch(b.keys, object.Key(max(req.Prefix, req.After)))
	last := "" // the entry added last
	for _, key := range b.keys[start:] {
		if !strings.HasPrefix(string(key), req.Prefix) {
			break
		}
		name, rolled := rollUp(string(key), req.Prefix, req.Delimiter)
		if name <= req.After || rolled && name == last {
			continue
		}
		if len(page.Entries) == limit {
			page.Next = last
			break
		}
		entry := object.Entry{Prefix: name}
		if !rolled {
			entry = object.Entry{Info: cloneInfo(b.objects[key].info)}
		}
		page.Entries = append(page.Entries, entry)
		last = name
	}
	return page, nil
}

// ListUploads implements object.Uploads.
func (m *Memory) ListUploads(ctx context.Context, req object.UploadListRequest) (object.UploadPage, error) {
	if err := m.begin(ctx, "ListUploads"); err != nil {
		return object.UploadPage{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(req.Bucket)
	if err != nil {
		return object.UploadPage{}, err
	}
	limit := pageSize(req.Max)
	var page object.UploadPage
	for _, u := range b.sortedUploads() {
		if !strings.HasPrefix(string(u.Key), req.Prefix) {
			continue
		}
		name, rolled := rollUp(string(u.Key), req.Prefix, req.Delimiter)
		more := !rolled && req.AfterUpload != "" && name == req.AfterKey && u.ID > req.AfterUpload
		if name <= req.AfterKey && !more {
			continue
		}
		last := len(page.Entries) - 1
		if rolled && last >= 0 && page.Entries[last].Prefix == name {
			continue
		}
		if len(page.Entries) == limit {
			page.NextKey, page.NextUpload = page.Entries[last].Prefix, page.Entries[last].Upload.ID
			if page.NextKey == "" {
				page.NextKey = string(page.Entries[last].Upload.Key)
			}
			break
		}
		entry := object.UploadEntry{Prefix: name}
		if !rolled {
			entry = object.UploadEntry{Upload: u.Upload}
		}
		page.Entries = append(page.Entries, entry)
	}
	return page, nil
}

// sortedUploads returns the uploads by key, then by id.
func (b *bucket) sortedUploads() []*upload {
	all := make([]*upload, 0, len(b.uploads))
	for _, u := range b.uploads {
		all = append(all, u)
	}
	slices.SortFunc(all, func(x, y *upload) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.ID, y.ID))
	})
	return all
}

// rollUp returns the name under which a key is listed: itself, or the prefix up
// to the first delimiter behind the asked-for prefix.
func rollUp(key, prefix, delimiter string) (name string, rolled bool) {
	if delimiter == "" {
		return key, false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return key, false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

func pageSize(wanted int) int {
	if wanted <= 0 || wanted > object.MaxListEntries {
		return object.MaxListEntries
	}
	return wanted
}
