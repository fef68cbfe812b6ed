package local

import (
	"context"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func unsupported(op string) error {
	return &fault.Error{Kind: fault.Unsupported, Noun: fault.Upload, Op: op}
}

func (s *Store) abortUploads(*bucket) error { return nil }

func (s *Store) Copy(context.Context, object.CopyRequest) (object.Info, error) {
	return object.Info{}, unsupported("copy object")
}

func (s *Store) SetTags(context.Context, object.BucketName, object.Key, []object.Tag) error {
	return unsupported("set tags")
}

func (s *Store) ObjectParts(context.Context, object.BucketName, object.Key, int, int) ([]object.Part, error) {
	return nil, nil
}

func (s *Store) CreateUpload(context.Context, object.UploadRequest) (object.Upload, error) {
	return object.Upload{}, unsupported("create upload")
}

func (s *Store) Upload(context.Context, object.BucketName, object.Key, object.UploadID) (object.Upload, error) {
	return object.Upload{}, unsupported("upload")
}

func (s *Store) PutPart(context.Context, object.PartRequest) (object.Part, error) {
	return object.Part{}, unsupported("put part")
}

func (s *Store) CopyPart(context.Context, object.CopyPartRequest) (object.Part, error) {
	return object.Part{}, unsupported("copy part")
}

func (s *Store) CompleteUpload(context.Context, object.CompleteRequest) (object.Info, error) {
	return object.Info{}, unsupported("complete upload")
}

func (s *Store) AbortUpload(context.Context, object.BucketName, object.Key, object.UploadID) error {
	return unsupported("abort upload")
}

func (s *Store) UploadParts(context.Context, object.BucketName, object.Key, object.UploadID, int, int) ([]object.Part, error) {
	return nil, unsupported("list parts")
}

func (s *Store) ListUploads(context.Context, object.UploadListRequest) (object.UploadPage, error) {
	return object.UploadPage{}, nil
}
