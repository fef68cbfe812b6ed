package local_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// seedVariable repeats one run of the model test.
const seedVariable = "LARDER_TEST_SEED"

// TestModel runs random operations on a store and on a map, with crashes, stops
// and starts among them.
func TestModel(t *testing.T) {
	seeds := []uint64{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()}
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	steps := 6000
	if testing.Short() {
		steps, seeds = 1500, seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			t.Logf("repeat with %s=%d", seedVariable, seed)
			m := &model{T: t, random: rand.New(rand.NewPCG(seed, 0)), uploads: map[object.UploadID][]object.Part{}}
			m.world = &world{machine: newMachine(firstDisk(t), nil), ledger: newLedger(), bodies: &bodies{}, ctx: t.Context()}
			if err := m.open(); err != nil {
				t.Fatal(err)
			}
			for m.step = range steps {
				m.move()
				if t.Failed() {
					t.Fatalf("at step %d: %s", m.step, m.doing)
				}
			}
			m.readHeld()
			m.compare()
			if err := m.store.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("%d writes acknowledged", m.ledger.acked)
		})
	}
}

// model is one run.
type model struct {
	*testing.T
	*world
	random  *rand.Rand
	step    int
	doing   string
	uploads map[object.UploadID][]object.Part
	held    []held
}

// held is an open reader, and what it must yield whatever becomes of its object.
type held struct {
	reader *object.Reader
	want   []byte
}

// moves are what a step may do, with their weights.
func (m *model) moves() []move {
	return []move{
		{30, "put", m.putAny},
		{8, "put if absent", m.putIfAbsent},
		{8, "put if match", m.putIfMatch},
		{12, "delete", func() { m.must(m.delete(m.anyKey())) }},
		{4, "delete if match", m.deleteIfMatch},
		{6, "copy", func() { m.must(m.copy(m.anyKey(), m.anyKey())) }},
		{4, "tag", func() { m.must(m.tag(m.anyKey(), m.random.IntN(5))) }},
		{20, "get", func() { m.get(m.anyKey()) }},
		{8, "range", m.getRange},
		{8, "list", m.list},
		{6, "upload", m.multipart},
		{3, "log", func() { m.must(m.append([]string{"iam", "settings"}[m.random.IntN(2)])) }},
		{1, "quota", func() { m.must(m.setQuota(1<<40 + m.random.Uint64N(100))) }},
		{2, "maintain", func() { m.must(m.maintain()) }},
		{4, "hold a reader", m.hold},
		{4, "read what was held", m.readHeld},
		{1, "compare", m.compare},
		{1, "crash", m.crash},
		{1, "restart", m.restart},
	}
}

type move struct {
	weight int
	name   string
	run    func()
}

func (m *model) move() {
	all := m.moves()
	total := 0
	for _, one := range all {
		total += one.weight
	}
	at := m.random.IntN(total)
	for _, one := range all {
		if at -= one.weight; at < 0 {
			m.doing = one.name
			one.run()
			break
		}
	}
	for _, err := range m.errs {
		m.Error(err)
	}
}

// must is for what has no reason to fail: nothing is injected here.
func (m *model) must(err error) {
	m.Helper()
	if err != nil {
		m.Errorf("%s: %v", m.doing, err)
	}
}

func (m *model) anyKey() object.Key { return key(m.random.IntN(80)) }

func (m *model) anySize() int {
	switch m.random.IntN(20) {
	case 0:
		return 0
	case 1:
		return 100_000 + m.random.IntN(300_000)
	case 2, 3:
		return []int{4096, 16 << 10, 64 << 10, 64<<10 + 1, 128 << 10}[m.random.IntN(5)]
	case 4, 5, 6, 7:
		return m.random.IntN(40_000)
	}
	return m.random.IntN(2000)
}

func (m *model) putAny() { m.must(m.put(m.anyKey(), m.anySize(), object.Precondition{})) }

// want compares an error's kind; Internal stands for none.
func (m *model) want(kind fault.Kind, err error) {
	m.Helper()
	if kind == fault.Internal && err != nil || kind != fault.Internal && !errors.Is(err, kind) {
		m.Errorf("%s: got %v, want %v", m.doing, err, kind)
	}
}

func (m *model) putIfAbsent() {
	k := m.anyKey()
	kind := fault.Internal
	if s, _ := m.ledger.sure(objectName + string(k)); s != nil {
		kind = fault.Precondition
	}
	m.want(kind, m.put(k, m.anySize(), object.Precondition{IfNoneMatch: []object.ETag{object.AnyETag}}))
}

// condition makes an If-Match that holds or not, and says what it must lead to.
func (m *model) condition(k object.Key) (object.Precondition, fault.Kind) {
	s, _ := m.ledger.sure(objectName + string(k))
	p := object.Precondition{IfMatch: []object.ETag{"00000000000000000000000000000000"}}
	switch {
	case s == nil:
		return p, fault.NotFound
	case m.random.IntN(2) == 0:
		p.IfMatch = append(p.IfMatch, s.etag)
		return p, fault.Internal
	}
	return p, fault.Precondition
}

func (m *model) putIfMatch() {
	k := m.anyKey()
	p, kind := m.condition(k)
	m.want(kind, m.put(k, m.anySize(), p))
}

func (m *model) deleteIfMatch() {
	k := m.anyKey()
	p, kind := m.condition(k)
	settle := m.ledger.attempt(objectName+string(k), nil)
	err := m.store.Delete(m.ctx, object.DeleteRequest{Bucket: home, Key: k, If: p})
	settle(m.verdict(err))
	m.want(kind, err)
}

func (m *model) getRange() {
	k := m.anyKey()
	s, _ := m.ledger.sure(objectName + string(k))
	if s == nil || len(s.body.data) == 0 {
		return
	}
	size := int64(len(s.body.data))
	first := m.random.Int64N(size)
	last := first + m.random.Int64N(size-first)
	r, err := m.store.Get(m.ctx, object.GetRequest{Bucket: home, Key: k, Range: &object.Range{First: first, Last: last}})
	if err != nil {
		m.must(err)
		return
	}
	got, err := io.ReadAll(r.Body)
	m.must(errors.Join(err, r.Body.Close()))
	if string(got) != string(s.body.data[first:last+1]) {
		m.Errorf("%s %d-%d: other bytes", k, first, last)
	}
}

// hold opens a reader and leaves it.
func (m *model) hold() {
	k := m.anyKey()
	if s, _ := m.ledger.sure(objectName + string(k)); s != nil && len(m.held) < 8 {
		r, err := m.store.Get(m.ctx, object.GetRequest{Bucket: home, Key: k})
		if err != nil {
			m.must(err)
			return
		}
		m.held = append(m.held, held{r, s.body.data})
	}
}

// readHeld reads what hold left open.
func (m *model) readHeld() {
	for _, h := range m.held {
		got, err := io.ReadAll(h.reader.Body)
		m.must(errors.Join(err, h.reader.Body.Close()))
		if string(got) != string(h.want) {
			m.Errorf("%s: a reader that was open yields other bytes", h.reader.Info.Key)
		}
	}
	m.held = nil
}

func (m *model) list() {
	req := object.ListRequest{
		Bucket: home, Prefix: []string{"", "k", "k0", "dir", "dir3/", "u"}[m.random.IntN(6)],
		Delimiter: []string{"", "/", "0"}[m.random.IntN(3)], Max: 1 + m.random.IntN(30),
		After: []string{"", string(m.anyKey()), "dir4/"}[m.random.IntN(3)],
	}
	var want, got []string
	for _, k := range m.ledger.names(objectName) {
		s, _ := m.ledger.sure(objectName + k)
		rest, ok := strings.CutPrefix(k, req.Prefix)
		if s == nil || !ok {
			continue
		}
		if before, _, found := strings.Cut(rest, req.Delimiter); found && req.Delimiter != "" {
			k = req.Prefix + before + req.Delimiter
		}
		if k > req.After && !slices.Contains(want, k) {
			want = append(want, k)
		}
	}
	slices.Sort(want)
	asked := req
	for {
		page, err := m.store.List(m.ctx, req)
		if err != nil {
			m.must(err)
			return
		}
		for _, e := range page.Entries {
			got = append(got, e.Prefix+string(e.Info.Key))
		}
		if req.After = page.Next; req.After == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		m.Errorf("list %+v (-want +got):\n%s", asked, diff)
	}
}

// multipart begins an upload, or goes on with one, or ends one.
func (m *model) multipart() {
	var id object.UploadID
	for _, known := range m.ledger.names(uploadName) { // in order, so that a seed repeats
		if s, _ := m.ledger.sure(uploadName + known); s != nil && m.random.IntN(2) == 0 {
			id = object.UploadID(known)
		}
	}
	switch {
	case id == "":
		m.begin()
	case m.random.IntN(3) > 0 || len(m.uploads[id]) == 0:
		p, err := m.part(id, 1+m.random.IntN(5), m.anySize())
		m.must(err)
		m.uploads[id] = append(slices.DeleteFunc(m.uploads[id], func(o object.Part) bool { return o.Number == p.Number }), p)
	case m.random.IntN(3) == 0:
		m.must(m.abort(id))
	default:
		m.must(m.complete(id, m.uploads[id][m.random.IntN(len(m.uploads[id]))]))
	}
}

func (m *model) compare() { m.must(m.ledger.check(m.ctx, m.store)) }

// crash loses what was not synced, and sometimes the index, and starts again.
func (m *model) crash() {
	m.readHeld()
	mem := m.crashed([]int{0, 30, 100}[m.random.IntN(3)], m.random.Uint64())
	if m.random.IntN(3) == 0 {
		m.doing = "crash, index removed"
		m.must(withoutIndex(mem))
	}
	_ = m.store.Close() // writes to the old disk, which is no more
	m.machine = newMachine(mem, nil)
	m.start()
}

func (m *model) restart() {
	m.readHeld()
	m.must(m.store.Close())
	m.start()
}

func (m *model) start() {
	if err := m.open(); err != nil {
		m.Fatalf("%s: %v", m.doing, err)
	}
	m.compare()
}
