package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
)

// CheckOptions say how to check a store.
type CheckOptions struct {
	// Repair mends what can be mended and gives up, by name, what cannot.
	Repair bool

	// Progress, if set, is called now and then, by one goroutine.
	Progress func(Progress)

	// Config is what the store is opened with to repair it.
	Config Config
}

// Progress is how far a check has come.
type Progress struct {
	Done, Total int64 // bytes of segments
}

// Finding is one thing that a check found.
type Finding struct {
	Damage   bool   `json:"damage"`             // otherwise a note
	What     string `json:"what"`               // a sentence without a period
	Bucket   string `json:"bucket,omitempty"`   // "" if unknown or none
	Key      string `json:"key,omitempty"`      // "" if unknown or none
	Segment  uint64 `json:"segment,omitempty"`  // 0 if it is not about one
	Offset   int64  `json:"offset,omitempty"`   // in the segment
	Repaired string `json:"repaired,omitempty"` // what was done about it
}

// Report is the result of a check.
type Report struct {
	Segments int       `json:"segments"`
	Records  int64     `json:"records"`
	Bytes    int64     `json:"bytes"` // of segments
	Clean    bool      `json:"clean"` // the store was closed in order
	Findings []Finding `json:"findings"`
}

// Damaged reports whether anything is wrong.
func (r *Report) Damaged() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Damage })
}

// Check reads every byte of a stopped store and reports what is damaged. Without
// Repair it changes nothing. The error is Busy while a process has the store
// open, NotFound where there is none.
func Check(ctx context.Context, fsys disk.FS, dir string, opts CheckOptions) (Report, error) {
	c := &checker{
		ctx: ctx, fs: fsys, dir: dir, opts: opts, names: map[uint64]string{}, fences: map[uint64]int64{},
		keys: map[string]lostKey{}, bad: map[uint64]bool{}, unreadable: map[uint64]bool{},
	}
	err := c.run()
	if err == nil && opts.Repair && c.report.Damaged() {
		err = c.repair()
	}
	return c.report, wrap("check store", fault.Store, dir, err)
}

// lostKey is a key that damage concerns.
type lostKey struct {
	incarnation uint64
	key         []byte
}

// damagedBody is a body that fails its check, which a crash may have torn.
type damagedBody struct {
	Finding
	lostKey
}

type checker struct {
	ctx    context.Context //nolint:containedctx // a check is one call
	fs     disk.FS
	dir    string
	opts   CheckOptions
	report Report

	format     format
	segs       *segment.Set
	index      *index.Index // nil if it cannot be read
	rotten     bool         // the index must be rebuilt
	names      map[uint64]string
	fences     map[uint64]int64
	keys       map[string]lostKey
	bad        map[uint64]bool // damaged segments
	unreadable map[uint64]bool // of them, those of which nothing can be read; true if the index knows what they held
	bodies     []damagedBody   // of the segment that is being read
	done       int64
	total      int64
}

func (c *checker) damage(f Finding) {
	f.Damage = true
	if f.Segment != 0 {
		c.bad[f.Segment] = true
	}
	c.report.Findings = append(c.report.Findings, f)
}

func (c *checker) note(f Finding) { c.report.Findings = append(c.report.Findings, f) }

func (c *checker) run() error {
	if _, err := c.fs.Stat(c.fs.PathJoin(c.dir, segmentsDir)); err != nil {
		return fault.Wrap(fault.NotFound, fault.Store, c.dir, err)
	}
	lock, err := c.fs.Lock(c.fs.PathJoin(c.dir, lockFile))
	if err != nil {
		return locked(c.dir, err)
	}
	defer func() { _ = lock.Close() }()
	if err := c.files(); err != nil {
		return err
	}
	var damaged []segment.Damage
	c.segs, damaged, err = segment.Open(c.fs, c.fs.PathJoin(c.dir, segmentsDir), segment.Config{
		Store: c.format.id, Apply: func(*segment.Group) error { return nil },
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.segs.Close() }()
	for _, d := range damaged {
		c.damage(Finding{What: "segment " + d.What, Segment: d.Segment})
	}
	c.openIndex()
	for _, d := range damaged {
		if d.Unreadable {
			c.unreadable[d.Segment] = c.index != nil && c.index.Knows(d.Segment)
		}
	}
	if c.index != nil {
		defer func() { _, c.index = c.index.Close(), nil }()
	}
	if err := c.segments(); err != nil {
		return err
	}
	if c.index != nil {
		c.crossCheck()
	}
	c.name()
	return nil
}

// files checks the small files.
func (c *checker) files() error {
	format, err := readFormat(c.fs, c.dir)
	switch {
	case err == nil:
		c.format = format
	case errors.Is(err, fault.Unsupported):
		return err
	default:
		c.damage(Finding{What: fmt.Sprintf("file FORMAT: %v", err)})
		if c.format, err = c.salvageFormat(); err != nil {
			return err
		}
	}
	clean, err := disk.ReadFile(c.fs, c.fs.PathJoin(c.dir, cleanFile), 1<<10)
	c.report.Clean = err == nil
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.note(Finding{What: "the store was not closed in order: the next start replays what the index has not seen"})
	case err != nil || string(clean) != cleanText:
		c.report.Clean = true
		c.damage(Finding{What: "file CLEAN has another content than it was given"})
	}
	return nil
}

// salvageFormat takes the store's identity from its segments.
func (c *checker) salvageFormat() (format, error) {
	dir := c.fs.PathJoin(c.dir, segmentsDir)
	names, err := c.fs.List(dir)
	if err != nil {
		return format{}, err
	}
	for _, name := range names {
		if id, ok := segment.StoreOf(c.fs, c.fs.PathJoin(dir, name)); ok {
			return format{version: formatVersion, id: id}, nil
		}
	}
	return format{}, fault.Wrap(fault.Corrupt, fault.Store, c.dir, errors.New("FORMAT is damaged and no segment has the store's identity"))
}

func (c *checker) openIndex() {
	dir := c.fs.PathJoin(c.dir, indexDir)
	names, err := c.fs.List(dir)
	if err != nil || len(names) == 0 {
		c.note(Finding{What: "there is no index: the next start rebuilds it from the segments"})
		return
	}
	x, err := index.Open(c.fs, dir, index.Config{ReadOnly: true, Cache: 8 << 20, Fatal: func(m string) { panic(indexFatal(m)) }})
	if err == nil {
		if err = x.Verify(c.ctx); err != nil {
			_ = x.Close()
		}
	}
	if err != nil {
		c.rotten = true
		why, _, _ := strings.Cut(err.Error(), "\n")
		c.damage(Finding{What: "the index cannot be read, and can be rebuilt from the segments: " + why})
		return
	}
	c.index = x
}

type indexFatal string

// segments reads all segments, newer ones first, so that a fence is known before
// the segment that it ends.
func (c *checker) segments() error {
	ids := c.segs.IDs()
	c.report.Segments = len(ids)
	for _, id := range ids {
		n, err := c.segs.Size(id)
		if err != nil {
			return err
		}
		c.total += n
	}
	for _, id := range slices.Backward(ids) {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.segment(id); err != nil {
			return err
		}
	}
	c.report.Bytes = c.total
	return nil
}

func (c *checker) segment(id uint64) error {
	size, err := c.segs.Size(id)
	if err != nil {
		return err
	}
	end, applied := c.fences[id], int64(0)
	if c.index != nil {
		if state, ok := c.index.State(id); ok {
			applied, end = state.Applied, max(end, state.End)
		}
	}
	c.bodies = nil
	scan, err := c.segs.Scan(id, 0, end, c.record)
	if err != nil {
		return err
	}
	proven := max(scan.Proven, applied)
	if c.report.Clean {
		proven = scan.Size
	}
	if !scan.Sealed && end == 0 && c.report.Clean {
		c.damage(Finding{What: "the segment is not sealed, although the store was closed in order", Segment: id, Offset: scan.End})
	}
	for _, b := range c.bodies {
		if b.Offset >= proven {
			c.note(Finding{What: "a write that a crash tore, of which nobody was told", Segment: id, Offset: b.Offset})
			continue
		}
		c.about(b.Finding, b.incarnation, b.key)
	}
	for _, h := range scan.Holes {
		if h.Start >= proven {
			c.note(Finding{What: fmt.Sprintf("%d bytes that a crash tore, of which nobody was told", h.End-h.Start), Segment: id, Offset: h.Start})
			continue
		}
		if err := c.hole(id, h); err != nil {
			return err
		}
	}
	c.progress(size)
	return nil
}

func (c *checker) progress(n int64) {
	c.done += n
	if c.opts.Progress != nil {
		c.opts.Progress(Progress{Done: c.done, Total: c.total})
	}
}

// hole reports the records that lay in damaged bytes.
func (c *checker) hole(id uint64, h segment.Hole) error {
	listed, err := listing(c.segs, id)
	if err != nil {
		return err
	}
	lost, whole := h.Cover(listed)
	if h.Seal {
		c.about(Finding{What: "the directory that seals the segment is damaged", Segment: id, Offset: h.Start}, 0, nil)
	}
	for _, l := range lost {
		f := Finding{What: "the record is damaged", Segment: id, Offset: l.Offset}
		if l.Kind == segment.Directory || l.Kind == segment.Fence {
			f.What = "a directory is damaged"
		}
		c.about(f, l.Incarnation, l.Key)
	}
	if !whole {
		c.about(Finding{
			What: fmt.Sprintf("%d bytes are damaged, and no directory says what lay there", h.End-h.Start), Segment: id, Offset: h.Start,
		}, 0, nil)
		c.legible(id, h)
	}
	return nil
}

// legible reports the keys that can still be made out in a hole.
func (c *checker) legible(id uint64, h segment.Hole) {
	_ = c.segs.Legible(id, h, func(offset int64, incarnation uint64, key []byte) {
		if incarnation != index.System && utf8.Valid(key) && len(key) > 0 {
			c.about(Finding{What: "the record seems to have been of this key", Segment: id, Offset: offset}, incarnation, key)
		}
	})
}

// record checks one record's body, and the padding behind it.
func (c *checker) record(f *segment.Found) error {
	c.report.Records++
	switch f.Kind {
	case segment.Fence:
		if id, end, ok := segment.ParseDirectory(f.Attrs, func(segment.Listed) {}); ok {
			c.fences[id] = end
		}
	case segment.Put:
		c.learn(f.Incarnation, f.Key, f.Attrs)
	case segment.Delete, segment.Extent, segment.Directory:
	}
	punched, err := c.segs.Verify(f.Loc)
	live := c.live(f)
	switch {
	case errors.Is(err, segment.ErrDamaged):
		what := "the body is damaged"
		switch {
		case c.index == nil:
			what = "the body is damaged; without an index nobody knows whether it is needed"
		case !live:
			what = "the body is damaged; nothing refers to it"
		}
		c.bodies = append(c.bodies, damagedBody{
			Finding{What: what, Segment: f.Loc.Segment, Offset: f.Loc.Offset}, lostKey{f.Incarnation, bytes.Clone(f.Key)},
		})
	case err != nil:
		return err
	case punched && live:
		c.about(Finding{What: "the body was given back, although it is needed", Segment: f.Loc.Segment, Offset: f.Loc.Offset}, f.Incarnation, f.Key)
	}
	return c.known(f)
}

// live reports whether anything refers to the record, as far as that is known.
func (c *checker) live(f *segment.Found) bool {
	if c.index == nil {
		return false
	}
	fate, err := c.index.Fate(f)
	return err == nil && fate == index.Live
}

// known reports a record that the index should have seen and has not.
func (c *checker) known(f *segment.Found) error {
	if c.index == nil || f.Kind != segment.Put && f.Kind != segment.Delete {
		return nil
	}
	state, ok := c.index.State(f.Loc.Segment)
	if !ok || f.Loc.End() > state.Applied {
		return nil // a start replays it
	}
	newest, err := c.index.Newest(f.Incarnation, f.Key)
	if err != nil {
		return err
	}
	if f.Kind == segment.Delete && newest == 0 {
		return nil // a tombstone that hides nothing any more
	}
	if newest < f.Seq && !index.IsPart(f.Incarnation, f.Key) {
		c.rotten = true
		c.about(Finding{What: "the index does not know the newest record", Segment: f.Loc.Segment, Offset: f.Loc.Offset}, f.Incarnation, f.Key)
	}
	return nil
}

// learn takes a bucket's name from its record.
func (c *checker) learn(incarnation uint64, key, attrs []byte) {
	if incarnation != index.System || len(key) < 2 || key[0] != index.BucketKey {
		return
	}
	var d bucketDoc
	if _, doc, ok := index.ParseBody(attrs); ok && json.Unmarshal(doc, &d) == nil {
		c.names[d.Incarnation] = string(key[1:])
	}
}

// about reports damage to a key's record. Bucket and key are filled in when all
// names are known.
func (c *checker) about(f Finding, incarnation uint64, key []byte) {
	if key != nil {
		f.Key = string(appendOwner(incarnation, key))
		c.keys[f.Key] = lostKey{incarnation, bytes.Clone(key)}
	}
	c.damage(f)
}

// crossCheck reports what the index refers to and the segments do not hold.
func (c *checker) crossCheck() {
	err := c.index.References(func(incarnation uint64, key []byte, seq uint64, loc segment.Location) error {
		if c.segs.Holds(loc, seq) == nil {
			return c.ctx.Err()
		}
		c.about(Finding{What: "the index refers to a record that cannot be read", Segment: loc.Segment, Offset: loc.Offset}, incarnation, key)
		return c.ctx.Err()
	})
	if err != nil {
		c.rotten = true
		c.damage(Finding{What: fmt.Sprintf("the index: %v", err)})
	}
}
