package local

import (
	"context"
	"encoding/binary"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

const maxDocument = 16 << 20

// log is one log. Only its latest document is kept.
type log struct {
	store *Store
	name  string
}

// Log implements object.Store.
func (s *Store) Log(name string) object.Log { return &log{store: s, name: name} }

// Append implements object.Log.
func (l *log) Append(_ context.Context, gen uint64, doc []byte) error {
	const op = "append to log"
	if len(doc) > maxDocument {
		return &fault.Error{Kind: fault.TooLarge, Noun: fault.Log, Op: op, Name: l.name}
	}
	key := index.Log(l.name)
	defer l.store.locks.lock(index.System, key)()
	latest, _, _, err := l.entry(key)
	switch {
	case err != nil:
		return wrap(op, fault.Log, l.name, err)
	case gen <= latest:
		return &fault.Error{Kind: fault.Exists, Noun: fault.Log, Op: op, Name: l.name}
	case gen != latest+1:
		return &fault.Error{Kind: fault.Conflict, Noun: fault.Log, Op: op, Name: l.name}
	}
	attrs := index.AppendBody(nil, &index.Body{Shape: index.Inline, Size: int64(len(doc))})
	rec := &segment.Record{
		Header: segment.Header{
			Kind: segment.Put, Incarnation: index.System, Key: key, Seq: l.store.seq.Add(1),
			Attrs: binary.LittleEndian.AppendUint64(attrs, gen),
		},
		Body: append([]byte(nil), doc...), // writing may alter it
	}
	rec.Sums = segment.AppendSums(nil, rec.Body)
	return wrap(op, fault.Log, l.name, l.store.append(rec))
}

// entry returns the latest generation and where its document lies.
func (l *log) entry(key []byte) (gen uint64, e index.Entry, ok bool, err error) {
	e, ok, err = l.store.index.Object(index.System, key)
	if err != nil || !ok {
		return 0, e, false, err
	}
	_, rest, valid := index.ParseBody(e.Attrs)
	if !valid || len(rest) != 8 {
		return 0, e, false, fault.Wrap(fault.Corrupt, fault.Log, l.name, errAttributes)
	}
	return binary.LittleEndian.Uint64(rest), e, true, nil
}

// Latest implements object.Log.
func (l *log) Latest(context.Context) (uint64, []byte, error) {
	const op = "read log"
	var gen uint64
	var doc []byte
	err := l.store.retry(func() error {
		l.store.lookups.RLock()
		g, e, ok, err := l.entry(index.Log(l.name))
		if err != nil || !ok {
			l.store.lookups.RUnlock()
			return err
		}
		p, err := l.store.pin(e.Loc)
		l.store.lookups.RUnlock()
		if err != nil {
			return err
		}
		gen = g
		doc, err = l.store.readAll(p, make([]byte, 0, p.loc.BodyLen))
		return err
	})
	if err != nil {
		return 0, nil, wrap(op, fault.Log, l.name, err)
	}
	return gen, doc, nil
}
