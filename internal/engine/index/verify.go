package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/larder-cache/larder/internal/engine/segment"
)

// Verify reads the whole index, and with it every checksum in it.
func (x *Index) Verify(ctx context.Context) error {
	it, err := x.db.NewIter(nil)
	if err != nil {
		return x.wrap(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			return errors.Join(x.wrap(err), it.Close())
		}
	}
	if err := it.Close(); err != nil {
		return x.wrap(err)
	}
	names, err := x.disk.List(x.dir)
	if err != nil {
		return x.wrap(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		if err := x.verifyTable(ctx, x.disk.PathJoin(x.dir, name)); err != nil {
			return fmt.Errorf("table %s: %w", name, x.wrap(err))
		}
	}
	return nil
}

// verifyTable checks the blocks of a table that a scan does not read, filters
// among them.
func (x *Index) verifyTable(ctx context.Context, name string) error {
	f, err := x.disk.Open(name)
	if err != nil {
		return err
	}
	file, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(ctx, file, x.opts.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, file.Close())
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// IsPart reports whether the record is of a part, which its owner's life decides
// about.
func IsPart(incarnation uint64, key []byte) bool { return isPart(incarnation, key) }

// ParseUploadOwner returns the object and the upload of an Upload key.
func ParseUploadOwner(k []byte) (incarnation uint64, key []byte, id UploadID, ok bool) {
	return parseUpload(k)
}

// Newest returns the seq of the newest record of a key that was applied, 0 if
// none was.
func (x *Index) Newest(incarnation uint64, key []byte) (uint64, error) {
	v, err := x.get(appendKey(nil, spaceObject, incarnation, key))
	if err != nil {
		return 0, err
	}
	if v != nil {
		e, err := parseEntry(v)
		return e.Seq, err
	}
	if v, err = x.get(appendKey(nil, spaceHistory, incarnation, key)); err != nil || v == nil {
		return 0, err
	}
	h, err := parseHistory(v)
	if h.Seq == 0 && err == nil { // dead records of a key that was collected
		return ^uint64(0), nil
	}
	return h.Seq, err
}

// Buckets visits the buckets' names and attributes.
func (x *Index) Buckets(visit func(name string, attrs []byte) error) error {
	return x.each(appendKey(nil, spaceObject, System, []byte{BucketKey}), func(key, value []byte) error {
		e, err := parseEntry(value)
		if err != nil {
			return err
		}
		return visit(string(key[10:]), e.Attrs)
	})
}

// References visits every record that the index refers to, tombstones included.
// seq is 0 for an extent; its key is its owner's.
func (x *Index) References(visit func(incarnation uint64, key []byte, seq uint64, loc segment.Location) error) error {
	err := x.each([]byte{spaceObject}, func(key, value []byte) error {
		e, err := parseEntry(value)
		if err != nil {
			return err
		}
		if _, _, ok := ParseBody(e.Attrs); !ok {
			return fmt.Errorf("%w: attributes of an entry", ErrDamaged)
		}
		return visit(binary.BigEndian.Uint64(key[1:]), key[9:], e.Seq, e.Loc)
	})
	if err != nil {
		return err
	}
	err = x.each([]byte{spaceHistory}, func(key, value []byte) error {
		h, err := parseHistory(value)
		if err != nil || h.Seq == 0 {
			return err
		}
		return visit(binary.BigEndian.Uint64(key[1:]), key[9:], h.Seq, h.Loc)
	})
	if err != nil {
		return err
	}
	return x.each([]byte{spaceExtent}, func(_, value []byte) error {
		e, err := parseExtent(value)
		if err != nil {
			return err
		}
		return visit(e.Incarnation, e.Key, 0, e.Loc)
	})
}
