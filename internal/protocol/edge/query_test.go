package edge_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

func TestQuery(t *testing.T) {
	tests := []struct {
		raw  string
		want edge.Query
		bad  bool
	}{
		{raw: "", want: nil},
		{raw: "policy", want: edge.Query{{Name: "policy"}}},
		{raw: "policy=", want: edge.Query{{Name: "policy"}}},
		{raw: "a=b=c&a=d", want: edge.Query{{Name: "a", Value: "b=c"}, {Name: "a", Value: "d"}}},
		{raw: "&&prefix=a+b%20c%2Bd", want: edge.Query{{Name: "prefix", Value: "a b c+d"}}},
		{raw: "a;b=1", want: edge.Query{{Name: "a;b", Value: "1"}}},
		{raw: "prefix=%252e", want: edge.Query{{Name: "prefix", Value: "%2e"}}},
		{raw: "a=%zz", bad: true},
		{raw: "%=1", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			s := newServer(t, edge.Config{})
			r := httptest.NewRequest(http.MethodGet, "/b/k", nil)
			r.URL.RawQuery = tt.raw
			w := httptest.NewRecorder()
			s.pipeline.ServeHTTP(w, r)
			if bad := w.Code == http.StatusBadRequest; bad != tt.bad {
				t.Fatalf("status %d, want bad %t", w.Code, tt.bad)
			}
			if tt.bad {
				return
			}
			if diff := cmp.Diff(tt.want, s.routed.Query); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "a=b", "a=%2", "%", "a&b=c+d", "&=&"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s := newServer(t, edge.Config{})
		r := httptest.NewRequest(http.MethodGet, "/b/k", nil)
		r.URL.RawQuery = raw
		w := httptest.NewRecorder()
		s.pipeline.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
			t.Errorf("status %d", w.Code)
		}
	})
}
