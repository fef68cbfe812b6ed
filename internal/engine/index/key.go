package index

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// The key spaces.
const (
	spaceObject  = 'o'
	spaceExtent  = 'e'
	spaceHistory = 'h'
	spaceLedger  = 'l'
	spaceSegment = 's'
	spaceLost    = 'q'
	spaceMeta    = 'm'
)

// System is the incarnation of the store's own keys.
const System = 0

// The first byte of the store's own keys.
const (
	BucketKey = 'b'
	LogKey    = 'l'
	UploadKey = 'u'
	PartKey   = 'p'
)

func appendKey(dst []byte, space byte, incarnation uint64, key []byte) []byte {
	dst = append(slices.Grow(dst, 9+len(key)), space)
	dst = binary.BigEndian.AppendUint64(dst, incarnation)
	return append(dst, key...)
}

func extentKey(stage uint64, number uint32) []byte {
	k := appendKey(make([]byte, 0, 13), spaceExtent, stage, nil)
	return binary.BigEndian.AppendUint32(k, number)
}

// Bucket returns the store's own key of a bucket.
func Bucket(name string) []byte { return append([]byte{BucketKey}, name...) }

// Log returns the store's own key of a log.
func Log(name string) []byte { return append([]byte{LogKey}, name...) }

// UploadID names an upload.
type UploadID [16]byte

// Upload returns the store's own key of an upload in progress.
func Upload(incarnation uint64, key []byte, id UploadID) []byte {
	return append(UploadPrefix(incarnation, key), id[:]...)
}

// UploadPrefix returns what the uploads of a key have in common.
func UploadPrefix(incarnation uint64, key []byte) []byte {
	k := binary.BigEndian.AppendUint64(append(make([]byte, 0, 26+len(key)), UploadKey), incarnation)
	return append(append(k, key...), 0)
}

// parseUpload splits an Upload key.
func parseUpload(k []byte) (incarnation uint64, key []byte, id UploadID, ok bool) {
	if len(k) < 26 || k[0] != UploadKey {
		return 0, nil, id, false
	}
	copy(id[:], k[len(k)-16:])
	return binary.BigEndian.Uint64(k[1:]), k[9 : len(k)-17], id, true
}

// Part returns the store's own key of a part.
func Part(id UploadID, number int) []byte {
	k := append([]byte{PartKey}, id[:]...)
	return binary.BigEndian.AppendUint16(k, uint16(number))
}

// parsePart splits a Part key.
func parsePart(k []byte) (id UploadID, number int, ok bool) {
	if len(k) != 19 || k[0] != PartKey {
		return id, 0, false
	}
	copy(id[:], k[1:17])
	return id, int(binary.BigEndian.Uint16(k[17:])), true
}

// isPart reports whether the record is of a part.
func isPart(incarnation uint64, key []byte) bool {
	return incarnation == System && len(key) == 19 && key[0] == PartKey
}

// successor returns the smallest key greater than every key with that prefix,
// nil if there is none.
func successor(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// UploadsOf returns what the uploads of a bucket have in common.
func UploadsOf(incarnation uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{UploadKey}, incarnation)
}

// ParseUpload returns the object's key and the upload of an Upload key.
func ParseUpload(k []byte) (key []byte, id UploadID, ok bool) {
	_, key, id, ok = parseUpload(k)
	return key, id, ok
}

// PartsOf returns what the parts of an upload have in common.
func PartsOf(id UploadID) []byte { return append([]byte{PartKey}, id[:]...) }

// PartNumber returns the number in a Part key.
func PartNumber(k []byte) int {
	_, number, _ := parsePart(k)
	return number
}
