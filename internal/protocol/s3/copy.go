package s3

import "github.com/larder-cache/larder/internal/protocol/edge"

func parseCopyObject(*Protocol, *request) (*edge.Operation, error) {
	return nil, notOffered("CopyObject")
}
