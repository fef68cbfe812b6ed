package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/larder-cache/larder/internal/fault"
)

func TestErrorText(t *testing.T) {
	cause := errors.New("disk on fire")
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"kind alone", fault.New(fault.Busy, fault.None, ""), "busy"},
		{"noun and name", fault.Missing(fault.Bucket, "sccache"), "bucket sccache: not found"},
		{"all", &fault.Error{Kind: fault.Corrupt, Noun: fault.Object, Op: "get", Name: "b/k", Err: cause}, "get: object b/k: corrupt: disk on fire"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMatching(t *testing.T) {
	err := fmt.Errorf("stat: %w", fault.Missing(fault.Object, "k"))
	if !errors.Is(err, fault.NotFound) {
		t.Error("a wrapped fault does not match its kind")
	}
	if errors.Is(err, fault.Exists) {
		t.Error("a fault matches another kind")
	}
	if got := fault.KindOf(errors.New("x")); got != fault.Internal {
		t.Errorf("a foreign error is %v, want internal", got)
	}
}

func TestEveryKindHasText(t *testing.T) {
	for _, kind := range fault.Kinds() {
		if kind.Error() == "" {
			t.Errorf("kind %d has no text", kind)
		}
	}
}
