package local_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
)

const storeDir = "store"

// machine is a disk that can crash and fail, and the store on it.
type machine struct {
	mem   *vfs.MemFS
	store *local.Store

	ops     atomic.Int64 // operations so far
	segment atomic.Int64 // of them, changes of segment files
	full    atomic.Bool  // the disk takes nothing more
	opened  atomic.Bool
	quiet   atomic.Bool // operations neither count nor fail
	before  func(n int64, op disk.Op) disk.Outcome

	died chan struct{} // closed when the index gave up
	once sync.Once
}

// newMachine makes a machine on that disk. before is asked before every
// operation on it, which it counts from 1; nil lets all through.
func newMachine(mem *vfs.MemFS, before func(int64, disk.Op) disk.Outcome) *machine {
	return &machine{mem: mem, before: before, died: make(chan struct{})}
}

func (m *machine) decide(op disk.Op) disk.Outcome {
	if m.quiet.Load() {
		return disk.Outcome{}
	}
	n := m.ops.Add(1)
	if changesSegment(op) {
		m.segment.Add(1)
	}
	if m.full.Load() && grows(op) {
		return disk.Outcome{Err: syscall.ENOSPC, Short: n%2 == 0}
	}
	if m.before == nil {
		return disk.Outcome{}
	}
	return m.before(n, op)
}

func changesSegment(op disk.Op) bool { return strings.HasSuffix(op.Path, ".seg") && op.Kind.Mutates() }

// grows reports whether an operation needs room. Pebble dies of a full disk, so
// the ballast that is released for it makes its writes succeed.
func grows(op disk.Op) bool {
	return op.Kind == disk.OpWrite && strings.HasSuffix(op.Path, ".seg")
}

// open starts the store. Its background work does not run: the tests call it.
func (m *machine) open() error {
	store, err := local.Open(disk.Inject(disk.New(m.mem), m.decide), storeDir, m.config())
	m.store = store
	m.opened.Store(err == nil)
	return err
}

// halted reports whether the index gave up, which counts as a crash.
func (m *machine) halted() bool {
	select {
	case <-m.died:
		return true
	default:
		return false
	}
}

// fatal is called where Pebble would end the process. Its caller stays where it
// is for ever, as a process does that is no more.
func (m *machine) fatal(string) {
	m.once.Do(func() { close(m.died) })
	select {}
}

// crashed returns the disk as a crash at this moment leaves it: what was not
// synced is lost, or each 4 KiB of it survives by that chance.
func (m *machine) crashed(percent int, seed uint64) *vfs.MemFS {
	return m.mem.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1)),
	})
}

// recover opens the store on a disk that a crash left, compares it with the
// ledger, and does so again after another crash: what was seen must stay.
func recoverAndCheck(t *testing.T, mem *vfs.MemFS, l *ledger) error {
	t.Helper()
	m := newMachine(mem, nil)
	if err := m.open(); err != nil {
		return errors.Join(errors.New("open after the crash"), err)
	}
	err := l.check(t.Context(), m.store)
	again := newMachine(m.crashed(0, 0), nil)
	err = errors.Join(err, m.store.Close())
	if err != nil {
		return err
	}
	if err := again.open(); err != nil {
		return errors.Join(errors.New("open after the second crash"), err)
	}
	return errors.Join(l.check(t.Context(), again.store), again.store.Close())
}

// withoutIndex removes the whole index.
func withoutIndex(mem *vfs.MemFS) error {
	return mem.RemoveAll(mem.PathJoin(storeDir, "index"))
}

// config is small with the machine's own hooks.
func (m *machine) config() local.Config {
	cfg := small()
	cfg.Index.Fatal = m.fatal
	var ticks atomic.Int64
	cfg.Now = func() time.Time { return time.Unix(1<<31-ticks.Add(1), 0) } // the clock goes back
	return cfg
}

// maintain does at once what Run does in time. It may fail where the disk does.
func (w *world) maintain() error {
	return errors.Join(w.store.Flush(w.ctx), w.store.Reclaim(w.ctx))
}
