package health_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/health"
)

type status struct{ ready, writable error }

func (s status) Ready() error    { return s.ready }
func (s status) Writable() error { return s.writable }

// nobody refuses everybody: a probe must not come near it.
type nobody struct{}

func (nobody) Authenticate(context.Context, *http.Request) (edge.Identity, error) {
	return edge.Identity{}, errors.New("asked who is probing")
}

func (nobody) Authorize(context.Context, iam.Principal, iam.Check, iam.Facts) iam.Decision {
	return iam.Decision{}
}

func TestProbes(t *testing.T) {
	sick := errors.New("disk gone")
	tests := []struct {
		name, method, path string
		status             status
		want               int
	}{
		{"live", http.MethodGet, "/minio/health/live", status{sick, sick}, 200},
		{"ready", http.MethodGet, "/minio/health/ready", status{}, 200},
		{"not ready", http.MethodGet, "/minio/health/ready", status{sick, nil}, 503},
		{"ready but full", http.MethodGet, "/minio/health/ready", status{nil, sick}, 200},
		{"cluster", http.MethodHead, "/minio/health/cluster", status{}, 200},
		{"cluster full", http.MethodGet, "/minio/health/cluster", status{nil, sick}, 503},
		{"cluster read", http.MethodGet, "/minio/health/cluster/read", status{nil, sick}, 200},
		{"unknown", http.MethodGet, "/minio/health/mood", status{}, 404},
		{"write", http.MethodPut, "/minio/health/live", status{}, 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pipeline, err := edge.New(nobody{}, nobody{}, []edge.Protocol{health.New(tt.status)}, edge.Config{})
			if err != nil {
				t.Fatal(err)
			}
			answer := httptest.NewRecorder()
			pipeline.ServeHTTP(answer, httptest.NewRequest(tt.method, tt.path, http.NoBody))
			if answer.Code != tt.want || answer.Body.Len() != 0 {
				t.Errorf("status %d, body %q, want %d and no body", answer.Code, answer.Body, tt.want)
			}
		})
	}
}
