package local_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/object"
)

var errInjected = errors.New("injected fault")

// stage is the disk and the ledger at the start of a phase, and how many disk
// operations the phase made when nothing failed.
type stage struct {
	phase
	mem      *vfs.MemFS
	ledger   *ledger
	ops      []disk.Op // of the phase, in order
	segments int       // of them, changes of segment files
}

// stages runs the whole workload once, phase by phase, with a clean stop and a
// start between them, and keeps where each began.
func stages(t *testing.T, shared *bodies) []*stage {
	t.Helper()
	mem := firstDisk(t)
	l := newLedger()
	var all []*stage
	for _, p := range phases() {
		s := &stage{phase: p, mem: mem, ledger: l.copy()}
		var mu sync.Mutex
		m := newMachine(mem.CrashClone(vfs.CrashCloneCfg{}), func(_ int64, op disk.Op) disk.Outcome {
			mu.Lock()
			defer mu.Unlock()
			s.ops = append(s.ops, op)
			if changesSegment(op) {
				s.segments++
			}
			return disk.Outcome{}
		})
		w := &world{machine: m, ledger: l, bodies: shared, ctx: t.Context()}
		if err := m.open(); err != nil {
			t.Fatalf("%s: open: %v", p.name, err)
		}
		p.run(w)
		if err := errors.Join(append(w.errs, w.checkQuietly(l), m.store.Close())...); err != nil {
			t.Fatalf("%s, without a fault: %v", p.name, err)
		}
		mem = m.crashed(0, 0)
		all = append(all, s)
	}
	return all
}

// firstDisk is a disk with an empty store and its buckets.
func firstDisk(t *testing.T) *vfs.MemFS {
	t.Helper()
	m := newMachine(vfs.NewCrashableMem(), nil)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []object.BucketName{home, "probe"} {
		if _, err := m.store.CreateBucket(t.Context(), name, object.BucketConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	return m.crashed(0, 0)
}

// crash is a disk and the ledger at the moment when it lost its power.
type crash struct {
	name   string
	mem    *vfs.MemFS
	ledger *ledger
}

// TestCrash crashes before every disk operation, and so after every one: what
// was not synced is lost, wholly or in part, and every third time the index too.
func TestCrash(t *testing.T) {
	shared := &bodies{}
	crashes := make(chan crash, 8)
	failed := make(chan struct{})
	var failures atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for c := range crashes {
				if err := recoverAndCheck(t, c.mem, c.ledger); err != nil {
					t.Errorf("crash %s: %v", c.name, err)
					if failures.Add(1) == 10 {
						close(failed)
					}
				}
			}
		})
	}
	points, segments := 0, 0
	for _, s := range stages(t, shared) {
		segments += s.segments
		points += crashInPhase(t, s, shared, crashes, failed)
	}
	close(crashes)
	group.Wait()
	t.Logf("crashed %d times; the workload makes %d changes of segment files", points, segments)
	if segments <= 1000 {
		t.Errorf("the workload makes %d changes of segment files, and should make more than 1000", segments)
	}
}

func crashInPhase(t *testing.T, s *stage, shared *bodies, crashes chan<- crash, failed <-chan struct{}) (points int) {
	t.Helper()
	l := s.ledger.copy()
	var m *machine
	var mu sync.Mutex
	m = newMachine(s.mem.CrashClone(vfs.CrashCloneCfg{}), func(n int64, op disk.Op) disk.Outcome {
		if s.thin(n) || !op.Kind.Mutates() {
			return disk.Outcome{}
		}
		mu.Lock()
		defer mu.Unlock()
		points++
		c := crash{name: fmt.Sprintf("in %s before %d: %s %s", s.name, n, op.Kind, op.Path), ledger: l.copy()}
		c.mem = m.crashed([]int{0, 0, 50}[n%3], uint64(n))
		if n%5 == 0 && hasFormat(c.mem) {
			c.name += ", index removed"
			if err := withoutIndex(c.mem); err != nil {
				t.Error(err)
			}
		}
		select {
		case crashes <- c:
		case <-failed:
		}
		return disk.Outcome{}
	})
	w := &world{machine: m, ledger: l, bodies: shared, ctx: t.Context()}
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	s.run(w)
	if err := errors.Join(append(w.errs, m.store.Close())...); err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
	return points
}

// hasFormat reports whether the store got as far as having a format file.
func hasFormat(mem *vfs.MemFS) bool {
	_, err := mem.Stat(mem.PathJoin(storeDir, "FORMAT"))
	return err == nil
}

// mode is how an operation fails, and when the store is started again.
type mode struct {
	name  string
	out   disk.Outcome
	after restart
}

type restart string

const (
	afterCrash restart = "after a crash"
	afterStop  restart = "after a stop"
	soonAfter  restart = "after a crash soon after the fault"
)

func modes(op disk.Op) []mode {
	all := []mode{{name: "not applied", out: disk.Outcome{Err: errInjected}}}
	if op.Kind.Mutates() {
		all = append(all, mode{name: "applied, then failed", out: disk.Outcome{Err: errInjected, Apply: true}})
	}
	if op.Kind == disk.OpWrite {
		all = append(all, mode{name: "short", out: disk.Outcome{Err: errInjected, Short: true}})
	}
	return all
}

// TestFaults fails every disk operation on the segments and the store's own
// files, one at a time, in every manner; of those on the index's files, which
// follow from the segments, one in a few.
func TestFaults(t *testing.T) {
	shared := &bodies{}
	type job struct {
		*stage
		n    int64
		op   disk.Op
		mode mode
	}
	jobs := make(chan job, 8)
	var group sync.WaitGroup
	var hit sync.Map
	var failures atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for j := range jobs {
				name := fmt.Sprintf("in %s, operation %d (%s %s) %s", j.name, j.n, j.op.Kind, j.op.Path, j.mode.name)
				struck, err := faultRun(t, j.stage, shared, j.n, j.mode)
				if err != nil {
					failures.Add(1)
					t.Errorf("fault %s: %v", name, err)
				}
				if struck {
					hit.Store(fmt.Sprint(j.name, j.n), true)
				}
			}
		})
	}
	wanted := 0
	for _, s := range stages(t, shared) {
		for i, op := range s.ops {
			if skipFault(i, op) || s.thin(int64(i+1)) {
				continue
			}
			if changesSegment(op) {
				wanted++
			}
			for k, mode := range modes(op) {
				if testing.Short() && k != i%2 || failures.Load() >= 10 {
					continue
				}
				mode.after = []restart{afterCrash, afterStop, soonAfter}[(i+k)%3]
				jobs <- job{s, int64(i + 1), op, mode}
			}
		}
	}
	close(jobs)
	group.Wait()
	struck := 0
	hit.Range(func(any, any) bool { struck++; return true })
	t.Logf("failed %d disk operations, one at a time; n is %d on segment files", struck, wanted)
	if wanted <= 1000 && !testing.Short() {
		t.Errorf("n is %d on segment files, and should be above 1000", wanted)
	}
}

// fragile reports whether Pebble ends the process when that operation fails, so
// that it is tested as a crash only: it panics when its directory does not sync,
// and when its Open fails while it compacts already.
func (m *machine) fragile(op disk.Op) bool {
	return strings.HasSuffix(op.Path, "/index") && op.Kind == disk.OpSync || strings.Contains(op.Path, "/index/") && !m.opened.Load()
}

// skipFault thins out what need not fail every time.
func skipFault(i int, op disk.Op) bool {
	switch {
	case strings.HasSuffix(op.Path, ".seg"), !strings.Contains(op.Path, "/index/"):
		return !op.Kind.Mutates() && i%5 != 0
	}
	return i%5 != 0
}

// faultRun runs a phase in which the n-th operation fails, and checks the store
// as it is, after a crash, and after a clean stop. struck is false if the run
// had fewer operations.
func faultRun(t *testing.T, s *stage, shared *bodies, n int64, how mode) (struck bool, err error) {
	t.Helper()
	var m *machine
	var w *world
	var soon *crash // a few operations later, with all that the disk has not synced
	m = newMachine(s.mem.CrashClone(vfs.CrashCloneCfg{}), func(i int64, op disk.Op) disk.Outcome {
		switch {
		case i == n && !m.fragile(op):
			struck = true
			return how.out
		case i == n+1+n%5 && how.after == soonAfter:
			soon = &crash{mem: m.crashed(100, uint64(n)), ledger: w.ledger.copy()}
		}
		return disk.Outcome{}
	})
	w = &world{machine: m, ledger: s.ledger.copy(), bodies: shared, ctx: t.Context()}
	done := make(chan error, 1)
	go func() { done <- w.throughFault(s) }()
	select {
	case err = <-done:
	case <-m.died:
	case <-time.After(time.Minute):
		buf := make([]byte, 1<<20)
		return struck, fmt.Errorf("it hangs:\n%s", buf[:runtime.Stack(buf, true)])
	}
	if err != nil {
		return struck, err
	}
	end := crash{mem: m.crashed(0, 0), ledger: w.ledger.copy()}
	m.stop()
	switch {
	case how.after == afterStop:
		end.mem = m.crashed(0, 0)
	case how.after == soonAfter && soon != nil:
		end = *soon
	}
	_ = m.mem.RemoveAll(storeDir) // a store that gave up is never closed, and shall hold no memory
	if err := recoverAndCheck(t, end.mem, end.ledger); err != nil {
		return struck, fmt.Errorf("%s: %w", how.after, err)
	}
	return struck, nil
}

// stop closes the store, which may say what failed, unless it gave up.
func (m *machine) stop() {
	if m.halted() || m.store == nil {
		return
	}
	closed := make(chan error, 1)
	go func() { closed <- m.store.Close() }()
	select {
	case <-closed:
	case <-m.died:
	}
}

// throughFault opens the store, a second time if the first failed, runs the
// phase, and checks what the store says while it still runs.
func (w *world) throughFault(s *stage) error {
	if err := w.open(); err != nil {
		if !errors.Is(err, errInjected) {
			return fmt.Errorf("open: %w", err)
		}
		if err := w.open(); err != nil {
			return fmt.Errorf("open again: %w", err)
		}
	}
	s.run(w)
	if err := errors.Join(w.errs...); err != nil {
		return err
	}
	if w.broken() {
		return nil // its reads may fail; after the restart they may not
	}
	return w.checkQuietly(w.ledger.copy())
}

// checkQuietly compares the store with the ledger; no operation of that fails,
// or counts.
func (w *world) checkQuietly(l *ledger) error {
	w.quiet.Store(true)
	defer w.quiet.Store(false)
	return l.check(w.ctx, w.store)
}
