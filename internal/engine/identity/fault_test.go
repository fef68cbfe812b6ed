package identity_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

var errDisk = errors.New("disk on fire")

// faulty fails appends to the log of that name, before or after they are made.
type faulty struct {
	object.Store
	log     string
	fail    bool
	applied bool
}

func (f *faulty) Log(name string) object.Log {
	if name != f.log {
		return f.Store.Log(name)
	}
	return faultyLog{f.Store.Log(name), f}
}

type faultyLog struct {
	object.Log
	f *faulty
}

func (l faultyLog) Append(ctx context.Context, generation uint64, doc []byte) error {
	if !l.f.fail {
		return l.Log.Append(ctx, generation, doc)
	}
	if l.f.applied {
		if err := l.Log.Append(ctx, generation, doc); err != nil {
			return err
		}
	}
	return errDisk
}

// TestFailedWrites: a write that fails is told to the caller; what is in force is
// what the log holds, and the next change goes on from there.
func TestFailedWrites(t *testing.T) {
	for _, applied := range []bool{false, true} {
		w := newWorld(t)
		f := &faulty{Store: w.store, log: "iam", applied: applied}
		w.store = f
		w.Service = w.open()
		w.user("alice")
		f.fail = true
		if err := w.SetUser(t.Context(), root, "bob", iam.UserChange{Secret: new(iam.Secret("bob-secret"))}); !errors.Is(err, errDisk) {
			t.Errorf("applied %v: %v", applied, err)
		}
		if _, err := w.User("bob"); (err == nil) != applied {
			t.Errorf("applied %v: bob: %v", applied, err)
		}
		f.fail = false
		w.user("carol")
		now, later := w.Users(), w.open().Users()
		if want := map[bool]int{false: 2, true: 3}[applied]; len(now) != want || len(later) != want {
			t.Errorf("applied %v: %d users now, %d after a restart", applied, len(now), len(later))
		}
		records := 0
		for _, err := range w.open().Audit(t.Context()) {
			must(t, err)
			records++
		}
		if records != len(now) {
			t.Errorf("applied %v: %d records of %d changes", applied, records, len(now))
		}
	}
}

// TestFailedTrail: a change whose record cannot be written to the trail is made,
// and its record waits.
func TestFailedTrail(t *testing.T) {
	for _, applied := range []bool{false, true} {
		w := newWorld(t)
		f := &faulty{Store: w.store, log: "audit-00", applied: applied, fail: true}
		w.store = f
		w.Service = w.open()
		w.user("alice")
		w.user("bob")
		count := func(s *identity.Service) (n int) {
			for _, err := range s.Audit(t.Context()) {
				must(t, err)
				n++
			}
			return n
		}
		if n := count(w.Service); n != 2 {
			t.Errorf("applied %v: %d records while the trail fails", applied, n)
		}
		f.fail = false
		if n := count(w.open()); n != 2 {
			t.Errorf("applied %v: %d records after a restart", applied, n)
		}
		w.Service = w.open()
		w.user("carol")
		if n := count(w.open()); n != 3 {
			t.Errorf("applied %v: %d records after another change", applied, n)
		}
	}
}

// TestConcurrency changes and asks at once; the race detector looks on.
func TestConcurrency(t *testing.T) {
	w := newWorld(t)
	w.user("alice", "readwrite")
	s := w.session(iam.SessionSpec{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			name := iam.UserName(fmt.Sprintf("user%d", i))
			for range 20 {
				if err := w.SetUser(t.Context(), root, name, iam.UserChange{Secret: new(iam.Secret("long-enough"))}); err != nil {
					t.Error(err)
				}
				if err := w.SetPolicies(t.Context(), root, iam.Holder{User: name}, []iam.PolicyName{"readonly"}); err != nil {
					t.Error(err)
				}
				if !w.may(iam.AccessKeyID(name), "", "s3:GetObject", "b/k") {
					t.Errorf("%s may not what he was just given", name)
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				if !w.may("alice", "", "s3:PutObject", "b/k") || !w.may(s.AccessKey, s.Token, "s3:PutObject", "b/k") {
					t.Error("alice is refused while others change")
				}
			}
		})
	}
	wg.Wait()
	if n := len(w.open().Users()); n != 5 {
		t.Errorf("%d users after a restart, want 5", n)
	}
}
