package bench_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/bench"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// store is the least server that the workload can run against. It refuses what
// is not signed right.
type store struct {
	verifier *sigv4.Verifier
	may      func(kind string) bool // "list" or the method; nil for everything
	mu       sync.Mutex             // guards objects and requests
	objects  map[string]string
	requests int
}

func (s *store) Credential(context.Context, iam.AccessKeyID, string) (iam.Credential, error) {
	return iam.Credential{Principal: iam.Principal{Kind: iam.User, User: "bench", AccessKey: "bench"}, Secret: "secret-of-bench"}, nil
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if _, err := s.verifier.Verify(r.Context(), r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	object, ok := s.objects[r.URL.Path]
	kind := r.Method
	if r.URL.RawQuery != "" {
		kind = "list"
	}
	switch {
	case s.may != nil && !s.may(kind):
		http.Error(w, "AccessDenied", http.StatusForbidden)
	case r.Method == http.MethodPut:
		s.objects[r.URL.Path] = string(body)
	case r.Method == http.MethodDelete:
		delete(s.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case kind == "list":
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // makes the answer chunked
		_, _ = io.WriteString(w, "<ListBucketResult/>")
	case !ok:
		http.NotFound(w, r)
	default:
		_, _ = io.WriteString(w, object)
	}
}

func serve(t *testing.T, s *store) *bench.Target {
	t.Helper()
	var err error
	if s.verifier, err = sigv4.New(s, sigv4.Config{}); err != nil {
		t.Fatal(err)
	}
	s.objects = map[string]string{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	link, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &bench.Target{Server: link, Bucket: "b", Region: "us-east-1", Key: sigv4.Key{ID: "bench", Secret: "secret-of-bench"}}
}

func TestWorkload(t *testing.T) {
	s := &store{}
	target := serve(t, s)
	phases, err := bench.Workload{Objects: 20, Workers: 4, Duration: 50 * time.Millisecond, Sizes: bench.Fixed(3000)}.Run(t.Context(), target, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, phase := range phases {
		names = append(names, phase.Name)
		if err := phase.Result.Err(); err != nil {
			t.Errorf("%s: %v", phase.Name, err)
		}
	}
	if want := []string{"miss", "write", "warm", "list"}; !slices.Equal(names, want) {
		t.Errorf("phases %v, want %v", names, want)
	}
	if got := phases[1].Result.Count("put"); got != 20 {
		t.Errorf("%d writes, want 20", got)
	}
	if got := phases[2].Result.Count("get"); got == 0 || phases[2].Result.Latency("get", .5) <= 0 {
		t.Errorf("no warm reads were measured")
	}
	if len(s.objects) != 0 {
		t.Errorf("%d objects left behind", len(s.objects))
	}
}

func TestAWrongAnswerIsReported(t *testing.T) {
	target := serve(t, &store{})
	target.Key.Secret = "another-secret"
	_, err := bench.Workload{Objects: 2, Workers: 1, Duration: 10 * time.Millisecond, Sizes: bench.Fixed(10)}.Run(t.Context(), target, nil)
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v, want the status and the server's words", err)
	}
}

// A key that is made for builds reads and writes, and no more.
func TestAKeyForBuilds(t *testing.T) {
	build := func(kind string) bool { return kind == http.MethodGet || kind == http.MethodPut }
	workload := bench.Workload{Objects: 5, Workers: 2, Duration: 20 * time.Millisecond, Sizes: bench.Fixed(10)}

	s := &store{may: build}
	target := serve(t, s)
	if _, err := workload.Run(t.Context(), target, nil); err == nil || !strings.Contains(err.Error(), "--keep") {
		t.Errorf("got %v, want what to do about a key that may not delete", err)
	}
	if len(s.objects) != 0 {
		t.Errorf("%d objects written with a key that cannot remove them", len(s.objects))
	}

	workload.Keep = true
	var said []string
	phases, err := workload.Run(t.Context(), target, func(line string) { said = append(said, line) })
	if err != nil {
		t.Fatal(err)
	}
	if len(phases) != 3 || !strings.Contains(strings.Join(said, "\n"), "list is left out") {
		t.Errorf("%d phases, said %q; want three, and that there is no list", len(phases), said)
	}
}

// What was measured before an error is there beside it, and so is what is left.
func TestPhasesBeforeAnError(t *testing.T) {
	puts := 0
	s := &store{}
	s.may = func(kind string) bool {
		if kind == http.MethodPut {
			puts++
		}
		return puts == 0 || kind == http.MethodGet
	}
	phases, err := bench.Workload{Objects: 5, Workers: 1, Duration: 20 * time.Millisecond, Sizes: bench.Fixed(10)}.Run(t.Context(), serve(t, s), nil)
	if len(phases) == 0 || phases[0].Name != "miss" {
		t.Errorf("phases %v, want the misses", phases)
	}
	if err == nil || !strings.Contains(err.Error(), "left below larder-bench-") {
		t.Errorf("got %v, want what is left behind", err)
	}
}

func TestABrokenConnectionIsOpenedAgain(t *testing.T) {
	var calls int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 2 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusOK)
	}))
	defer server.Close()
	link, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	target := &bench.Target{Server: link, Bucket: "b"}
	call, err := target.Render("get", http.MethodGet, "k", "", nil, http.StatusOK)
	if err != nil {
		t.Fatal(err)
	}
	result, err := bench.Run(t.Context(), bench.Load{Server: link, Workers: 1, Calls: []bench.Call{call, call, call}})
	if err != nil {
		t.Fatal(err)
	}
	if result.Requests != 3 || result.Errors != 1 || result.Err() == nil {
		t.Errorf("%d requests, %d errors, want 3 and 1", result.Requests, result.Errors)
	}
}

func TestNobodyThere(t *testing.T) {
	link := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	if _, err := bench.Run(t.Context(), bench.Load{Server: link, Workers: 1}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestSizesHaveTheStatedMedianAndMean(t *testing.T) {
	for _, sizes := range []bench.Sizes{bench.CSizes, bench.RustSizes, bench.Fixed(46 << 10)} {
		random := rand.New(rand.NewPCG(1, 2))
		drawn := make([]int, 200_000)
		sum := 0.0
		for i := range drawn {
			drawn[i] = sizes.Draw(random)
			sum += float64(drawn[i])
		}
		slices.Sort(drawn)
		if median := float64(drawn[len(drawn)/2]); median < sizes.Median*.95 || median > sizes.Median*1.05 {
			t.Errorf("%s: median %.0f, want %.0f", sizes.Name, median, sizes.Median)
		}
		if mean := sum / float64(len(drawn)); mean < sizes.Mean*.6 || mean > sizes.Mean*1.1 { // the cut tail takes some of the mean
			t.Errorf("%s: mean %.0f, want about %.0f", sizes.Name, mean, sizes.Mean)
		}
	}
}
