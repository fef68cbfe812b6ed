package storetest

import (
	"context"
	"fmt"
	"slices"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// maxDocument is the largest document of a log, in bytes.
const maxDocument = 16 << 20

// memoryLog is one log; m.mu guards docs.
type memoryLog struct {
	m    *Memory
	name string
	docs [][]byte // generation 1 first
}

// Log implements object.Store.
func (m *Memory) Log(name string) object.Log {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.logs[name]
	if !ok {
		l = &memoryLog{m: m, name: name}
		m.logs[name] = l
	}
	return l
}

// Append implements object.Log.
func (l *memoryLog) Append(ctx context.Context, gen uint64, doc []byte) error {
	if err := l.m.begin(ctx, "Append"); err != nil {
		return err
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	subject := fmt.Sprintf("%s/%d", l.name, gen)
	switch latest := uint64(len(l.docs)); {
	case len(doc) > maxDocument:
		return fault.New(fault.TooLarge, fault.Log, subject)
	case gen <= latest:
		return fault.New(fault.Exists, fault.Log, subject)
	case gen > latest+1:
		return fault.New(fault.Conflict, fault.Log, subject)
	}
	l.docs = append(l.docs, slices.Clone(doc))
	return nil
}

// Latest implements object.Log.
func (l *memoryLog) Latest(ctx context.Context) (uint64, []byte, error) {
	if err := l.m.begin(ctx, "Latest"); err != nil {
		return 0, nil, err
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if len(l.docs) == 0 {
		return 0, nil, nil
	}
	return uint64(len(l.docs)), slices.Clone(l.docs[len(l.docs)-1]), nil
}
