package s3

import (
	"cmp"
	"context"
	"strconv"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// completeUpload is CompleteMultipartUpload.
type completeUpload struct {
	protocol *Protocol
	complete object.CompleteRequest // without parts
	kind     string                 // x-amz-checksum-type, "" if it is not given
	location string
}

func parseCompleteUpload(p *Protocol, r *request) (*edge.Operation, error) {
	op := &completeUpload{protocol: p, kind: r.header("X-Amz-Checksum-Type")}
	op.complete = object.CompleteRequest{Bucket: r.bucket, Key: r.key, Upload: object.UploadID(r.Query.Get("uploadId")), Size: -1}
	op.location = r.location()
	var err error
	if err = r.noEncryption(); err != nil {
		return nil, err
	}
	if op.complete.If, err = r.writeCondition(); err != nil {
		return nil, err
	}
	if op.complete.Checksum, err = r.checksum(); err != nil {
		return nil, err
	}
	switch op.kind {
	case "", "FULL_OBJECT":
	case "COMPOSITE":
		op.complete.Checksum.Composite = op.complete.Checksum.Algorithm != object.NoChecksum
	default:
		return nil, &Error{Code: InvalidRequest, Message: "Value for x-amz-checksum-type header is invalid."}
	}
	if text := r.header("X-Amz-Mp-Object-Size"); text != "" {
		if op.complete.Size, err = strconv.ParseInt(text, 10, 64); err != nil || op.complete.Size < 0 {
			return nil, &Error{Code: InvalidRequest, Message: "Value for x-amz-mp-object-size header is invalid."}
		}
	}
	operation := r.operation("s3.CompleteMultipartUpload", "s3:PutObject", op)
	operation.MaxBody = maxPartsDocument
	return operation, nil
}

// location is the URL of the object as the client reached it.
func (r *request) location() string {
	scheme := "http://"
	if r.TLS {
		scheme = "https://"
	}
	host := r.Host
	if r.Port != "" {
		host += ":" + r.Port
	}
	return scheme + host + string(appendEncoded(nil, r.Path))
}

// completeDocument is the body of the request.
type completeDocument struct {
	Parts []struct {
		Number    int    `xml:"PartNumber"`
		ETag      string `xml:"ETag"`
		CRC32     string `xml:"ChecksumCRC32"`
		CRC32C    string `xml:"ChecksumCRC32C"`
		CRC64NVME string `xml:"ChecksumCRC64NVME"`
		SHA1      string `xml:"ChecksumSHA1"`
		SHA256    string `xml:"ChecksumSHA256"`
	} `xml:"Part"`
}

// parts converts the document.
func (d *completeDocument) parts() ([]object.CompletePart, error) {
	parts := make([]object.CompletePart, len(d.Parts))
	for i := range d.Parts {
		p := &d.Parts[i]
		tags := parseETags(p.ETag)
		if p.Number < 1 || p.Number > object.MaxParts || len(tags) != 1 {
			return nil, &Error{Code: InvalidPart}
		}
		if i > 0 && p.Number <= d.Parts[i-1].Number {
			return nil, &Error{Code: InvalidPartOrder}
		}
		parts[i] = object.CompletePart{Number: p.Number, ETag: tags[0]}
		for algorithm, text := range map[string]string{
			"CRC32": p.CRC32, "CRC32C": p.CRC32C, "CRC64NVME": p.CRC64NVME, "SHA1": p.SHA1, "SHA256": p.SHA256,
		} {
			if text == "" {
				continue
			}
			sum, err := parseChecksum(algorithm, text)
			if err != nil {
				return nil, err
			}
			parts[i].Checksum = sum
		}
	}
	return parts, nil
}

// Serve makes the object.
func (op *completeUpload) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	var doc completeDocument
	if err := readXML(call, "CompleteMultipartUpload", &doc); err != nil {
		return err
	}
	if len(doc.Parts) == 0 || len(doc.Parts) > object.MaxParts {
		return &Error{Code: MalformedXML}
	}
	var err error
	if op.complete.Parts, err = doc.parts(); err != nil {
		return err
	}
	return op.protocol.patiently(ctx, w, call, func(ctx context.Context) (*document, error) {
		if err := op.adopt(ctx); err != nil {
			return nil, err
		}
		info, err := op.protocol.store.CompleteUpload(ctx, op.complete)
		if err != nil {
			return nil, err
		}
		return op.result(&info), nil
	})
}

// adopt takes the type of the checksum from the upload where the client left it
// out. A completed upload is no longer there, and the store knows its answer.
func (op *completeUpload) adopt(ctx context.Context) error {
	if op.complete.Checksum.Algorithm == object.NoChecksum && op.kind == "" {
		return nil
	}
	upload, err := op.protocol.store.Upload(ctx, op.complete.Bucket, op.complete.Key, op.complete.Upload)
	if err != nil {
		return nil //nolint:nilerr // CompleteUpload reports it, or knows the upload as completed
	}
	if op.kind != "" && upload.Checksum != object.NoChecksum && op.kind != checksumType(upload.Composite) {
		return &Error{Code: InvalidRequest, Message: "The upload was created using the " + checksumType(upload.Composite) + " checksum type. The complete request must use the same checksum type."}
	}
	if sent := op.complete.Checksum.Algorithm; sent != object.NoChecksum {
		op.complete.Checksum.Composite = upload.Composite
		if sent != cmp.Or(upload.Checksum, object.CRC64NVME) {
			return algorithmMismatch(upload.Checksum, sent)
		}
	}
	return nil
}

func (op *completeUpload) result(info *object.Info) *document {
	doc := newDocument(1024)
	doc.root("CompleteMultipartUploadResult")
	doc.text("Location", op.location)
	doc.text("Bucket", string(info.Bucket))
	doc.text("Key", string(info.Key))
	doc.etag(info.Digest.ETag)
	doc.checksum(info.Digest.Checksum)
	if sum := &info.Digest.Checksum; sum.Algorithm != object.NoChecksum {
		doc.text("ChecksumType", checksumType(sum.Composite))
	}
	doc.close("CompleteMultipartUploadResult")
	return doc
}
