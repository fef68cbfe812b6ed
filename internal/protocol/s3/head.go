package s3

import (
	"context"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// headObject is HeadObject: the header that GetObject would have.
type headObject struct{ getObject }

func parseHeadObject(p *Protocol, r *request) (*edge.Operation, error) {
	op := &headObject{getObject{store: p.store}}
	if err := op.parse(r); err != nil {
		return nil, err
	}
	return r.operation("s3.HeadObject", readAction(op.version), op), nil
}

// Serve answers 200 or 206 without a body.
func (op *headObject) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	if err := op.overrides.allowed(call); err != nil {
		return err
	}
	reader, err := op.describe(ctx)
	if err != nil {
		return op.refuse(ctx, w, reader, err)
	}
	w.WriteHeader(op.header(ctx, w.Header(), reader))
	return nil
}

// describe returns what a Get would, without a body.
func (op *headObject) describe(ctx context.Context) (*object.Reader, error) {
	if op.get.Part > 0 { // only the store knows where a part lies
		reader, err := op.store.Get(ctx, op.get)
		if err == nil {
			err = reader.Body.Close()
		}
		return reader, err
	}
	info, err := op.store.Head(ctx, op.get.Bucket, op.get.Key)
	if err != nil {
		return nil, err
	}
	reader := &object.Reader{Info: info}
	if err := op.get.If.CheckRead(&info); err != nil {
		return reader, err
	}
	reader.Offset, reader.Length, err = op.get.Range.Resolve(info.Size)
	return reader, err
}
