package app

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

func TestAccessLine(t *testing.T) {
	var out bytes.Buffer
	access := newAccessLog(&out, true)
	metrics, err := newRequestMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	o := &observer{access: access, metrics: metrics}
	o.observe(edge.Event{
		RequestID: "00000000000000AB", Op: "s3.GetObject", Method: "GET", Host: "h", Path: "/sccache/a\nb", Bucket: "sccache", Status: 403, Code: "AccessDenied",
		Err: fault.New(fault.Denied, fault.Object, "sccache/a"), Duration: 1500 * time.Microsecond, Principal: iam.Principal{User: "ci", AccessKey: "CIKEY"}, Lookup: edge.Miss,
	})
	if out.Len() != 0 {
		t.Error("a line was not gathered")
	}
	if err := access.Flush(); err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	for key, want := range map[string]any{
		"msg": "request", "request_id": "00000000000000AB", "op": "s3.GetObject", "path": "/sccache/a\nb", "status": 403.0, "code": "AccessDenied",
		"duration_us": 1500.0, "user": "ci", "access_key": "CIKEY", "hit": false, "error": "object sccache/a: denied",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
}

func TestRequestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics, err := newRequestMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	o := &observer{metrics: metrics}
	for _, e := range []edge.Event{
		{Op: "s3.GetObject", Bucket: "sccache", Status: 200, BytesOut: 46, Lookup: edge.Hit},
		{Op: "s3.GetObject", Bucket: "sccache", Status: 404, Lookup: edge.Miss},
		{Op: "s3.GetObject", Bucket: "sccache", Status: 404, Lookup: edge.Miss},
		{Op: "", Status: 400},
	} {
		o.observe(e)
	}
	want := `
# HELP larder_lookups_total Reads of objects that were there (hit) or not (miss), by bucket.
# TYPE larder_lookups_total counter
larder_lookups_total{bucket="sccache",result="hit"} 1
larder_lookups_total{bucket="sccache",result="miss"} 2
# HELP larder_requests_total Requests by operation and class of status.
# TYPE larder_requests_total counter
larder_requests_total{op="none",status="4xx"} 1
larder_requests_total{op="s3.GetObject",status="2xx"} 1
larder_requests_total{op="s3.GetObject",status="4xx"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "larder_lookups_total", "larder_requests_total"); err != nil {
		t.Error(err)
	}
}

func TestTextLinesLookLikeTheRestOfTheLog(t *testing.T) {
	var out, want bytes.Buffer
	e := edge.Event{Op: "s3.GetObject", Path: "/b/a key\nmsg=\"x\"", Status: 200, Start: time.Now(), UserAgent: "sccache/0.19.0", RemoteAddr: netip.MustParseAddr("127.0.0.1")}
	access := newAccessLog(&out, false)
	access.write(&e)
	if err := access.Flush(); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&want, nil)).Info("request", "request_id", "", "op", e.Op, "method", "", "proto", "", "host", "", "path", e.Path, "status", 200, "in_bytes", 0,
		"out_bytes", 0, "duration_us", 0, "user", "", "access_key", "", "remote", "127.0.0.1", "user_agent", e.UserAgent)
	_, got, _ := strings.Cut(out.String(), " ")
	_, line, _ := strings.Cut(want.String(), " ")
	if got != line {
		t.Errorf("got  %swant %s", got, line)
	}
}

func TestLinesAreWrittenSoonAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out wholeLines
		access := newAccessLog(&out, true)
		go func() { _ = access.Run(t.Context()) }()
		e := edge.Event{Path: strings.Repeat("x", 999)}
		for range 500 {
			access.write(&e)
		}
		<-time.After(2 * flushInterval)
		synctest.Wait()
		if out.lines != 500 || out.torn {
			t.Errorf("%d lines, torn %v", out.lines, out.torn)
		}
	})
}

func BenchmarkAccessLine(b *testing.B) {
	access := newAccessLog(io.Discard, false)
	e := edge.Event{
		RequestID: "00000000000000AB", Op: "s3.GetObject", Method: "GET", Proto: "HTTP/1.1", Host: "cache.example", Path: "/sccache/a/b/c/abc" + strings.Repeat("0", 61), Status: 200,
		BytesOut: 46 << 10, Start: time.Now(), Duration: time.Millisecond, Principal: iam.Principal{User: "sccache", AccessKey: "sccache"},
		RemoteAddr: netip.MustParseAddr("10.0.0.7"), UserAgent: "sccache/0.19.0", Lookup: edge.Hit,
	}
	b.ReportAllocs()
	for b.Loop() {
		access.write(&e)
	}
}

// wholeLines notices a write that does not end with a line.
type wholeLines struct {
	lines int
	torn  bool
}

func (w *wholeLines) Write(p []byte) (int, error) {
	w.lines += bytes.Count(p, []byte("\n"))
	w.torn = w.torn || p[len(p)-1] != '\n'
	return len(p), nil
}
