package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// repair rebuilds the index where it must, gives up what is lost, and moves what
// is whole out of damaged segments.
func (c *checker) repair() error {
	if err := disk.WriteFile(c.fs, c.dir, formatFile, []byte(c.format.String())); err != nil {
		return err
	}
	if c.rotten {
		if err := c.fs.RemoveAll(c.fs.PathJoin(c.dir, indexDir)); err != nil {
			return err
		}
		if err := disk.SyncDir(c.fs, c.dir); err != nil {
			return err
		}
	}
	if err := c.setAside(); err != nil {
		return err
	}
	cfg := c.opts.Config
	cfg.Index.Fatal = nil
	s, err := Open(c.fs, c.dir, cfg)
	if err != nil {
		return err
	}
	err = c.mend(s)
	return errors.Join(err, s.Close())
}

// setAside renames the segments of which nothing can be read: whoever deletes them
// decides to. An index knows what they held, and whose; without one nobody does.
func (c *checker) setAside() error {
	for id, known := range c.unreadable {
		name, err := c.segs.SetAside(id)
		if err != nil {
			return err
		}
		for i := range c.report.Findings {
			if f := &c.report.Findings[i]; f.Segment == id && f.Key == "" {
				f.Repaired = "it was renamed to " + name
			}
		}
		if c.rotten || !known {
			c.note(Finding{What: "keys that nobody can name have lost their newest state", Segment: id, Repaired: "an older state, or none, counts now"})
		}
	}
	return nil
}

func (c *checker) mend(s *Store) error {
	if err := c.accept(s); err != nil {
		return err
	}
	for _, k := range c.keys {
		if err := c.mendKey(s, k); err != nil {
			return err
		}
	}
	for i := range c.report.Findings {
		if f := &c.report.Findings[i]; f.Damage && f.Repaired == "" {
			f.Repaired = "what is whole was kept"
		}
	}
	return c.leaveDamaged(s)
}

// accept gives up what a rebuild could not find: from now on the newest record
// that there is counts.
func (c *checker) accept(s *Store) error {
	losses, all, err := s.index.Losses()
	if err != nil {
		return err
	}
	for _, l := range losses {
		bucket, key := c.readable(lostKey{l.Incarnation, l.Key})
		c.note(Finding{
			What: "the newest state of this key is lost", Bucket: bucket, Key: key, Segment: l.Segment, Offset: l.Offset,
			Repaired: "an older state, or none, counts now",
		})
	}
	if all {
		c.note(Finding{What: "keys that nobody can name have lost their newest state", Repaired: "an older state, or none, counts now"})
	}
	lost := slices.Collect(maps.Keys(s.lostBuckets))
	if err := s.index.Accept(); err != nil {
		return err
	}
	if err := s.loadBuckets(); err != nil {
		return err
	}
	return c.recoverBuckets(s, lost)
}

// recoverBuckets makes buckets for objects whose bucket's record is lost: under
// the old name if there is no doubt about it, with the default configuration.
func (c *checker) recoverBuckets(s *Store, lost []object.BucketName) error {
	var orphans []uint64
	known := map[uint64]bool{}
	for _, b := range s.buckets {
		known[b.incarnation] = true
	}
	for incarnation, ledger := range s.index.Ledgers() {
		if ledger.Objects > 0 && !known[incarnation] {
			orphans = append(orphans, incarnation)
		}
	}
	for _, incarnation := range orphans {
		name := object.BucketName(fmt.Sprintf("recovered-%d", incarnation))
		if len(orphans) == 1 && len(lost) == 1 && s.buckets[lost[0]] == nil {
			name = lost[0]
		}
		b := object.Bucket{Name: name, Incarnation: incarnation, Created: s.now()}
		if err := s.putBucket(&b); err != nil {
			return err
		}
		c.names[incarnation] = string(name)
		c.note(Finding{What: "the bucket's record was lost", Bucket: string(name), Repaired: "it has its objects, and the default configuration"})
	}
	return s.loadBuckets()
}

// mendKey removes an object whose content is damaged, and writes the store's own
// records anew from the index.
func (c *checker) mendKey(s *Store, k lostKey) error {
	if k.incarnation != index.System {
		return c.mendObject(s, k.incarnation, k.key)
	}
	e, ok, err := s.index.Object(index.System, k.key)
	if err != nil || len(k.key) == 0 {
		return err
	}
	if !ok {
		return s.append(s.systemDelete(k.key)) // the record that said so may be the one that is damaged
	}
	switch k.key[0] {
	case index.BucketKey, index.UploadKey:
		rec := s.systemPut(k.key, nil)
		rec.Attrs = e.Attrs
		return s.append(rec)
	case index.PartKey:
		if o, ok := index.PartOwner(e.Attrs); ok {
			return c.mendObject(s, o.Incarnation, o.Key)
		}
	}
	return nil
}

func (c *checker) mendObject(s *Store, incarnation uint64, key []byte) error {
	_, found, err := s.index.Object(incarnation, key)
	if err != nil {
		return err
	}
	if !found { // the record that said so may be the one that is damaged
		return s.append(&segment.Record{Header: segment.Header{
			Kind: segment.Delete, Incarnation: incarnation, Key: key, Seq: s.seq.Add(1),
		}})
	}
	name, ok := c.names[incarnation]
	bucket, k := object.BucketName(name), object.Key(key)
	if !ok || !errors.Is(s.readWhole(c.ctx, bucket, k), fault.Corrupt) {
		return nil // it is whole
	}
	if err := s.Delete(c.ctx, object.DeleteRequest{Bucket: bucket, Key: k}); err != nil {
		return fmt.Errorf("remove damaged %s: %w", path(bucket, k), err)
	}
	for i := range c.report.Findings {
		if f := &c.report.Findings[i]; f.Bucket == name && f.Key == string(key) {
			f.Repaired = "the object was removed"
		}
	}
	return nil
}

// readWhole reads an object to its end.
func (s *Store) readWhole(ctx context.Context, bucket object.BucketName, key object.Key) error {
	r, err := s.Get(ctx, object.GetRequest{Bucket: bucket, Key: key})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return errors.Join(err, r.Body.Close())
}

// leaveDamaged moves what is whole out of damaged segments and removes them.
func (c *checker) leaveDamaged(s *Store) error {
	mover := s.segs.Mover()
	var emptied []uint64
	for id := range c.bad {
		state, known := s.index.State(id)
		if !known || !state.Sealed || state.Doomed {
			continue
		}
		if _, err := s.evacuate(mover, id, 0, true); err != nil {
			return errors.Join(err, mover.Seal())
		}
		emptied = append(emptied, id)
	}
	return s.letGo(c.ctx, mover, emptied)
}
