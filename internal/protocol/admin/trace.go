package admin

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// Trace shows requests to administrators while they happen. Its Observe belongs
// in edge.Config.Observe; with nobody watching it costs one read lock. The zero
// value is ready for use.
type Trace struct{ feed feed[edge.Event] }

// Observe takes one request.
func (t *Trace) Observe(event edge.Event) {
	if t.feed.watched() {
		t.feed.publish(event)
	}
}

// The types of trace entries that there are, of the clients' bit set.
const traceS3 = 4

// traceEntry is one request as mc reads it. It has neither headers nor query,
// which may hold credentials.
type traceEntry struct {
	Type     int           `json:"type"`
	Node     string        `json:"nodename"`
	Function string        `json:"funcname"`
	Time     time.Time     `json:"time"`
	Path     string        `json:"path"`
	Duration time.Duration `json:"dur"`
	Bytes    int64         `json:"bytes,omitempty"`
	Message  string        `json:"msg,omitempty"`
	Error    string        `json:"error,omitempty"`
	HTTP     traceHTTP     `json:"http"`
}

type traceHTTP struct {
	Request  traceRequest  `json:"request"`
	Response traceResponse `json:"response"`
	Stats    traceStats    `json:"stats"`
}

type traceRequest struct {
	Time    time.Time           `json:"time"`
	Proto   string              `json:"proto"`
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Headers map[string][]string `json:"headers"`
	Client  string              `json:"client"`
}

type traceResponse struct {
	Time    time.Time           `json:"time"`
	Headers map[string][]string `json:"headers"`
	Status  int                 `json:"statuscode"`
}

type traceStats struct {
	In        int64         `json:"inputbytes"`
	Out       int64         `json:"outputbytes"`
	Latency   time.Duration `json:"latency"`
	FirstByte time.Duration `json:"timetofirstbyte"`
}

// traceFilter is what a client asked to see.
type traceFilter struct {
	none       bool // only types of entries that do not exist here
	onlyErrors bool
	threshold  time.Duration
}

func parseTraceFilter(query edge.Query) (traceFilter, error) {
	var f traceFilter
	// "all" is how older clients ask for everything, "s3" how newer ones ask for this.
	asked := query.Get("s3") == "true" || query.Get("all") == "true"
	other := query.Has("internal") || query.Has("storage") || query.Has("os") || query.Has("s3")
	f.none = other && !asked
	f.onlyErrors = query.Get("err") == "true"
	if s := query.Get("threshold"); s != "" {
		threshold, err := time.ParseDuration(s)
		if err != nil {
			return f, invalid(fault.None, "", "threshold %q is no duration", s)
		}
		f.threshold = threshold
	}
	return f, nil
}

func (f *traceFilter) wants(event *edge.Event) bool {
	if f.none || event.Duration < f.threshold {
		return false
	}
	return !f.onlyErrors || event.Status >= 400
}

// trace streams requests as they end.
func (p *Protocol) trace(in *input) (*edge.Operation, error) {
	const action = "admin:ServerTrace"
	return in.operation(action, func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		filter, err := parseTraceFilter(in.query)
		if err != nil {
			return err
		}
		status, err := p.config.Status(ctx)
		if err != nil {
			return err
		}
		return stream(ctx, p, w, call, action, &p.config.Trace.feed, func(event edge.Event) any {
			if !filter.wants(&event) {
				return nil
			}
			return newTraceEntry(&event, status.Endpoint)
		})
	}), nil
}

func newTraceEntry(event *edge.Event, node string) *traceEntry {
	end := event.Start.Add(event.Duration)
	return &traceEntry{
		Type: traceS3, Node: node, Function: traceFunction(event), Time: event.Start, Path: visible(event.Path),
		Duration: event.Duration, Bytes: event.BytesIn + event.BytesOut, Error: event.Code,
		HTTP: traceHTTP{
			Request: traceRequest{
				Time: event.Start, Proto: "HTTP", Method: event.Method, Path: visible(event.Path),
				Headers: map[string][]string{
					"Host":       {visible(event.Host)},
					"User-Agent": {visible(event.UserAgent)},
				},
				Client: event.RemoteAddr.String(),
			},
			Response: traceResponse{
				Time: end, Status: event.Status,
				Headers: map[string][]string{"X-Amz-Request-Id": {event.RequestID}},
			},
			Stats: traceStats{In: event.BytesIn, Out: event.BytesOut, Latency: event.Duration, FirstByte: event.FirstByte},
		},
	}
}

// visible escapes what does not print: anybody may send it, and the clients write
// it to an administrator's terminal as it is.
func visible(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

func traceFunction(event *edge.Event) string {
	if event.Op == "" {
		return "unknown." + strings.ToLower(event.Method)
	}
	return event.Op
}
