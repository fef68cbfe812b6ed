package local

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// List implements object.Store.
func (s *Store) List(_ context.Context, req object.ListRequest) (object.Page, error) {
	const op = "list objects"
	b, err := s.bucket(op, req.Bucket)
	if err != nil {
		return object.Page{}, err
	}
	page, err := s.list(b, &req)
	return page, wrap(op, fault.Bucket, string(req.Bucket), err)
}

func (s *Store) list(b *bucket, req *object.ListRequest) (page object.Page, err error) {
	some, all := s.index.Suspect()
	if all {
		return page, index.ErrLost
	}
	it, err := s.index.Iter(b.incarnation, []byte(req.Prefix))
	if err != nil {
		return page, err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	limit := min(max(req.Max, 0), object.MaxListEntries)
	page.Entries = make([]object.Entry, 0, min(limit, 64))
	var memory []byte
	roller := roller{prefix: req.Prefix, delimiter: req.Delimiter}
	for ok := roller.start(it, req.After); ok; {
		if len(page.Entries) == limit {
			page.Next = lastName(page.Entries)
			return page, nil
		}
		if common := roller.common(it.Key()); common != nil {
			page.Entries = append(page.Entries, object.Entry{Prefix: string(common)})
			ok = roller.skip(it, common)
			continue
		}
		e, err := it.Entry()
		if err != nil {
			return page, err
		}
		if some && s.index.Lost(b.incarnation, it.Key(), e.Seq) != nil {
			ok = it.Next() // reads of it say why
			continue
		}
		info, err := parseListed(b.info.Name, it.Key(), &e, &memory)
		if err != nil {
			return page, err
		}
		if len(page.Entries) == cap(page.Entries) {
			page.Entries = slices.Grow(page.Entries, limit-len(page.Entries)) // from a few to all at once
		}
		page.Entries = append(page.Entries, object.Entry{Info: info})
		ok = it.Next()
	}
	return page, nil
}

func lastName(entries []object.Entry) string {
	if len(entries) == 0 {
		return ""
	}
	last := &entries[len(entries)-1]
	if last.Prefix != "" {
		return last.Prefix
	}
	return string(last.Info.Key)
}

// roller rolls keys up to common prefixes.
type roller struct {
	prefix, delimiter string
	buf               []byte
}

// common returns the common prefix of a key, nil if it has none. It is valid
// until the next move.
func (r *roller) common(key []byte) []byte {
	if r.delimiter == "" {
		return nil
	}
	i := bytes.Index(key[len(r.prefix):], []byte(r.delimiter))
	if i < 0 {
		return nil
	}
	return key[:len(r.prefix)+i+len(r.delimiter)]
}

// start moves to the first key whose entry is greater than after.
func (r *roller) start(it *index.Iter, after string) bool {
	if after == "" || after < r.prefix {
		return it.First()
	}
	if strings.HasPrefix(after, r.prefix) {
		if common := r.common([]byte(after)); common != nil {
			return r.skip(it, common)
		}
	}
	return it.Seek(append(append(r.buf[:0], after...), 0))
}

// skip moves behind everything that begins with common, in one seek.
func (r *roller) skip(it *index.Iter, common []byte) bool {
	r.buf = append(r.buf[:0], common...)
	for i := len(r.buf) - 1; i >= 0; i-- {
		if r.buf[i]++; r.buf[i] != 0 {
			return it.Seek(r.buf[:i+1])
		}
	}
	return false
}
