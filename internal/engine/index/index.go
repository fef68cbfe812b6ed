package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrDamaged is what reads return when the index's own files are damaged. It
// can be rebuilt from the segments.
var ErrDamaged = errors.New("the index is damaged")

// Config tunes an Index.
type Config struct {
	Cache    int64 // bytes of Pebble's block cache; default 32 MiB
	MemTable int64 // bytes; default 8 MiB
	Logger   *slog.Logger
	ReadOnly bool
	Create   bool // there is none yet; otherwise there must be one

	// Fatal is called where Pebble cannot go on, in whatever goroutine that is.
	// It does not return; the default panics, and the next start replays.
	Fatal func(message string)
}

// Index is an open index.
type Index struct {
	db      *pebble.DB
	disk    vfs.FS
	dir     string
	opts    *pebble.Options
	damaged atomic.Bool // something read from the disk failed its check

	applying sync.Mutex // held while a group is applied; guards the fields below
	states   map[uint64]*State
	ledgers  map[uint64]*Ledger
	seq      uint64 // the greatest applied
	lost     int    // keys in the lost space
	lostAll  uint64 // every key whose seq is not greater is lost; 0 for none

	mu sync.RWMutex // guards the maps' contents for readers that do not apply

	filter    atomic.Pointer[filter] // nil until the first is made; stored under applying
	filling   *filter                // the next one, not yet whole; guarded by applying
	filtering sync.Mutex             // held while one is made; applying and mu may be taken under it
}

// onlyLevel is the size up to which the index is one level and what was flushed
// since, so that a look-up seldom asks a second table. Some 1.5 million objects
// fit in; each compaction writes all of them anew, which is still little beside
// their bodies.
const onlyLevel = 256 << 20 // bytes

// refusal is what Pebble could not go on from while it was opened.
type refusal string

// Open opens the index in dir.
func Open(disk vfs.FS, dir string, cfg Config) (x *Index, err error) {
	if cfg.Cache == 0 {
		cfg.Cache = 32 << 20
	}
	if cfg.MemTable == 0 {
		cfg.MemTable = 8 << 20
	}
	if cfg.Fatal == nil { // nothing rests on an index yet that cannot be opened
		var open atomic.Bool
		cfg.Fatal = func(message string) {
			if !open.Load() {
				panic(refusal(message))
			}
			panic(message)
		}
		defer func() {
			open.Store(true)
			switch p := recover().(type) {
			case nil:
			case refusal:
				x, err = nil, fmt.Errorf("open index: %s", string(p))
			default:
				panic(p)
			}
		}()
	}
	opts := &pebble.Options{
		FS:                          disk,
		DisableWAL:                  true,
		ReadOnly:                    cfg.ReadOnly,
		ErrorIfExists:               cfg.Create,
		ErrorIfNotExists:            !cfg.Create,
		CacheSize:                   cfg.Cache,
		MemTableSize:                uint64(cfg.MemTable),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		LBaseMaxBytes:               onlyLevel,
		MaxOpenFiles:                512,
		FormatMajorVersion:          pebble.FormatColumnarBlocks,
		Logger:                      pebbleLog{cfg.Logger, cfg.Fatal},
	}
	made := &Index{disk: disk, dir: dir, opts: opts, states: map[uint64]*State{}, ledgers: map[uint64]*Ledger{}}
	opts.EventListener = &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) {
		if made.damaged.CompareAndSwap(false, true) { // the reader gets an error; Pebble's default ends the process
			opts.Logger.Errorf("damaged, and built again at the next start: %v", info)
		}
	}}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].BlockSize = 4 << 10
	}
	if made.db, err = pebble.Open(dir, opts); err != nil {
		// Pebble has words of its own for each kind of damage. What is not from the
		// operating system is damage.
		if _, system := errors.AsType[syscall.Errno](err); !system || errors.Is(err, fs.ErrNotExist) {
			err = errors.Join(ErrDamaged, err)
		}
		return nil, fmt.Errorf("open index: %w", err)
	}
	if err := made.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open index: %w", err), made.db.Close())
	}
	return made, nil
}

// Damaged reports whether something in the index's files failed its check. What
// was asked for then failed with ErrDamaged.
func (x *Index) Damaged() bool { return x.damaged.Load() }

// load reads what is kept in memory.
func (x *Index) load() error {
	err := x.each([]byte{spaceSegment}, func(key, value []byte) error {
		s, err := parseState(value)
		if err != nil {
			return err
		}
		x.states[binary.BigEndian.Uint64(key[1:])] = &s
		return nil
	})
	if err != nil {
		return err
	}
	err = x.each([]byte{spaceLedger}, func(key, value []byte) error {
		if len(value) != 16 {
			return errShort("ledger", value)
		}
		x.ledgers[binary.BigEndian.Uint64(key[1:])] = &Ledger{
			Objects: int64(binary.LittleEndian.Uint64(value)), Bytes: int64(binary.LittleEndian.Uint64(value[8:])),
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := x.each([]byte{spaceLost}, func(_, _ []byte) error { x.lost++; return nil }); err != nil {
		return err
	}
	x.seq, err = x.number("seq")
	if err != nil {
		return err
	}
	x.lostAll, err = x.number("lost")
	return err
}

func metaKey(name string) []byte { return append([]byte{spaceMeta}, name...) }

// number reads a number of the meta space, 0 if there is none.
func (x *Index) number(name string) (uint64, error) {
	v, err := x.get(metaKey(name))
	if err != nil || v == nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, errShort(name, v)
	}
	return binary.LittleEndian.Uint64(v), nil
}

// get returns a copy of a value, nil if there is none.
func (x *Index) get(key []byte) ([]byte, error) {
	if x.absent(key) {
		return nil, nil //nolint:nilnil // absence is not an error
	}
	v, closer, err := x.db.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return nil, nil //nolint:nilnil // absence is not an error
	case err != nil:
		return nil, x.wrap(err)
	}
	c := append(make([]byte, 0, len(v)), v...)
	return c, closer.Close()
}

func (x *Index) wrap(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("read index: %w", err)
}

// each visits all keys with a prefix, in order. The slices are valid during the
// visit.
func (x *Index) each(prefix []byte, visit func(key, value []byte) error) error {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return x.wrap(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = visit(it.Key(), v)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
	}
	if err := it.Close(); err != nil {
		return x.wrap(err)
	}
	return nil
}

// Seq returns the greatest seq that was applied.
func (x *Index) Seq() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.seq
}

// Ledger returns what a bucket holds.
func (x *Index) Ledger(incarnation uint64) Ledger {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if l := x.ledgers[incarnation]; l != nil {
		return *l
	}
	return Ledger{}
}

// Ledgers returns what all buckets hold, by incarnation.
func (x *Index) Ledgers() map[uint64]Ledger {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make(map[uint64]Ledger, len(x.ledgers))
	for inc, l := range x.ledgers {
		all[inc] = *l
	}
	return all
}

// State returns what is known of a segment; ok is false if it is unknown.
func (x *Index) State(id uint64) (s State, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if p := x.states[id]; p != nil {
		return *p, true
	}
	return State{}, false
}

// Knows reports whether all records of a segment that is written no more were
// applied.
func (x *Index) Knows(id uint64) bool {
	s, ok := x.State(id)
	return ok && s.Sealed && s.Applied >= s.End
}

// States returns what is known of all segments.
func (x *Index) States() map[uint64]State {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make(map[uint64]State, len(x.states))
	for id, s := range x.states {
		all[id] = *s
	}
	return all
}

// Flush makes everything applied so far durable.
func (x *Index) Flush() error {
	if err := x.db.Flush(); err != nil {
		return fmt.Errorf("flush index: %w", err)
	}
	return nil
}

// Close closes the index. What was not flushed is replayed at the next start.
func (x *Index) Close() error {
	if err := x.db.Close(); err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// Metrics are Pebble's own.
func (x *Index) Metrics() *pebble.Metrics { return x.db.Metrics() }

// Object returns a key's current record; ok is false if there is none. When its
// newest record is lost, the error is ErrLost beside the newest that there is.
func (x *Index) Object(incarnation uint64, key []byte) (e Entry, ok bool, err error) {
	v, err := x.get(appendKey(make([]byte, 0, 80), spaceObject, incarnation, key))
	if err != nil {
		return Entry{}, false, err
	}
	if v != nil {
		if e, err = parseEntry(v); err != nil {
			return Entry{}, false, err
		}
	}
	return e, v != nil, x.Lost(incarnation, key, e.Seq)
}

// Extents returns the extents of a stage, in order.
func (x *Index) Extents(stage uint64) ([]Extent, error) {
	var all []Extent
	err := x.each(appendKey(nil, spaceExtent, stage, nil), func(key, value []byte) error {
		e, err := parseExtent(value)
		if err != nil {
			return err
		}
		e.Number = binary.BigEndian.Uint32(key[9:])
		e.Key = append([]byte(nil), e.Key...)
		all = append(all, e)
		return nil
	})
	return all, err
}

// Iter is a forward scan of one incarnation's keys, for one goroutine.
type Iter struct {
	x      *Index
	it     *pebble.Iterator
	lower  []byte
	seeked []byte
}

// Iter returns a scan over the keys of an incarnation that begin with prefix.
// The caller closes it.
func (x *Index) Iter(incarnation uint64, prefix []byte) (*Iter, error) {
	lower := appendKey(nil, spaceObject, incarnation, prefix)
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: successor(lower)})
	if err != nil {
		return nil, x.wrap(err)
	}
	return &Iter{x: x, it: it, lower: lower[:9]}, nil
}

// Seek moves to the first key at or after key; false if there is none.
func (i *Iter) Seek(key []byte) bool {
	i.seeked = append(append(i.seeked[:0], i.lower...), key...)
	return i.it.SeekGE(i.seeked)
}

// First moves to the first key; false if there is none.
func (i *Iter) First() bool { return i.it.First() }

// Next moves on; false at the end or on an error, which Close returns.
func (i *Iter) Next() bool { return i.it.Next() }

// Key returns the current key. It is valid until the next move.
func (i *Iter) Key() []byte { return i.it.Key()[9:] }

// Entry returns the current record. It is valid until the next move.
func (i *Iter) Entry() (Entry, error) {
	v, err := i.it.ValueAndErr()
	if err != nil {
		return Entry{}, i.x.wrap(err)
	}
	return parseEntry(v)
}

// Close ends the scan and returns the error that stopped it, if one did.
func (i *Iter) Close() error {
	if err := i.it.Close(); err != nil {
		return i.x.wrap(err)
	}
	return nil
}

// pebbleLog passes on Pebble's warnings.
type pebbleLog struct {
	log   *slog.Logger
	fatal func(string)
}

func (l pebbleLog) Infof(string, ...any) {}

func (l pebbleLog) Errorf(format string, args ...any) {
	if l.log != nil {
		l.log.Error("index", slog.String("error", fmt.Sprintf(format, args...)))
	}
}

// Fatalf does not return: Pebble calls it where it cannot go on, and its caller
// must not either.
func (l pebbleLog) Fatalf(format string, args ...any) {
	l.fatal(fmt.Sprintf("index: "+format, args...))
	panic("index: Fatal returned")
}
