package s3

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

// patiently runs work and answers 200 with its document. When work takes long,
// the header and a space now and then go out before, so that nobody between
// client and server takes the silence for the end; an error is then the document,
// as with S3.
func (p *Protocol) patiently(ctx context.Context, w *edge.Writer, call *edge.Call, work func(context.Context) (*document, error)) error {
	var (
		mu   sync.Mutex // guards all writing to w until done
		done bool
	)
	var timer *time.Timer
	mu.Lock()
	timer = time.AfterFunc(p.config.KeepAlive, func() {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return
		}
		begin(w)
		_, _ = w.Write([]byte(" ")) // a client that is gone shows in ctx
		w.Flush()
		timer.Reset(p.config.KeepAlive)
	})
	mu.Unlock()
	stop := func() {
		mu.Lock()
		defer mu.Unlock()
		done = true
		timer.Stop()
	}
	defer stop() // also when work panics
	doc, err := work(ctx)
	stop()
	switch {
	case w.Status() == 0 && err != nil:
		return err
	case w.Status() == 0:
		return doc.send(w)
	case err != nil:
		a := describe(err)
		call.Fail(string(a.code), err)
		doc = p.errorDocument(&edge.Request{ID: call.ID, Path: "/" + call.Operation.Bucket + "/" + call.Operation.Key}, call.Operation, a)
	}
	_, err = w.Write(doc.b[len(declaration):])
	return err
}

// begin sends the header and the XML declaration, which nothing may precede.
func begin(w *edge.Writer) {
	if w.Status() != 0 {
		return
	}
	w.Header()["Content-Type"] = xmlType
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(declaration))
}
