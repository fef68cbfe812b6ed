package local_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/object"
)

// killVariable names the directory in which TestKilledProcess writes.
const killVariable = "LARDER_KILL_DIRECTORY"

// TestKill kills a process under load, again and again, and checks what it had
// acknowledged. The page cache survives it, so this proves replay only.
func TestKill(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	dir := t.TempDir()
	l := newLedger()
	for round := range rounds {
		killRound(t, dir, l, round)
		store, err := local.Open(disk.OS(), dir, local.Config{})
		if err != nil {
			t.Fatalf("round %d: open: %v", round, err)
		}
		if err := l.check(t.Context(), store); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := store.Close(); err != nil {
			t.Fatalf("round %d: close: %v", round, err)
		}
	}
	t.Logf("%d writes were acknowledged by %d processes that were killed", l.acked, rounds)
	if l.acked < 20*rounds {
		t.Errorf("only %d writes were acknowledged", l.acked)
	}
}

// killRound starts a process, reads what it acknowledges into the ledger, and
// kills it.
func killRound(t *testing.T, dir string, l *ledger, round int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledProcess$", "-test.count=1")
	cmd.Env = append(os.Environ(), killVariable+"="+dir, fmt.Sprint("LARDER_KILL_SEED=", round))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, enough := 0, 40+rand.IntN(400)
	pending := map[string]func(outcome){}
	for scanner := bufio.NewScanner(out); scanner.Scan(); lines++ {
		noteLine(l, pending, scanner.Text())
		if lines == enough {
			_ = cmd.Process.Kill() // and read on: the pipe holds what was said before
		}
	}
	_ = cmd.Wait()
	if lines < enough {
		t.Fatalf("round %d: the process ended by itself:\n%s", round, &stderr)
	}
}

// noteLine takes one line of the process into the ledger.
func noteLine(l *ledger, pending map[string]func(outcome), line string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "put", "delete":
		var key string
		var seed uint64
		var size int
		_, _ = fmt.Sscan(rest, &key, &seed, &size)
		next := newBody(noise(seed, size))
		s := &state{body: next, etag: next.digest.ETag}
		if verb == "delete" {
			s = nil
		}
		pending[key] = l.attempt(objectName+key, s)
	case "done":
		pending[rest](acknowledged)
	}
}

// TestKilledProcess is the process that TestKill kills. It writes until then.
func TestKilledProcess(t *testing.T) {
	dir := os.Getenv(killVariable)
	if dir == "" {
		return
	}
	store, err := local.Open(disk.OS(), dir, local.Config{SegmentSize: 4 << 20, FlushEvery: 200 * time.Millisecond, ReclaimEvery: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = store.Run(t.Context()) }()
	_, _ = store.CreateBucket(t.Context(), home, object.BucketConfig{})
	var group sync.WaitGroup
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", args...)
	}
	for worker := range 8 {
		group.Go(func() { writeUntilKilled(t, store, worker, say) })
	}
	group.Wait()
}

func writeUntilKilled(t *testing.T, store *local.Store, worker int, say func(string, ...any)) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(worker), uint64(os.Getpid())))
	for {
		key := fmt.Sprintf("w%d/%d", worker, random.IntN(20))
		if random.IntN(4) == 0 {
			say("delete %s 0 0", key)
			if err := store.Delete(t.Context(), object.DeleteRequest{Bucket: home, Key: object.Key(key)}); err != nil {
				t.Error(err)
				return
			}
			say("done %s", key)
			continue
		}
		seed, size := random.Uint64N(1<<32), []int{100, 5000, 46_000, 300_000}[random.IntN(4)]
		b := newBody(noise(seed, size))
		say("put %s %d %d", key, seed, size)
		if _, err := store.Put(t.Context(), object.PutRequest{Bucket: home, Key: object.Key(key), Content: b.content(), Size: int64(size)}); err != nil {
			t.Error(err)
			return
		}
		say("done %s", key)
	}
}
