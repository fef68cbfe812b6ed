// Package index is the ordered index over the segments: Pebble, without a log of
// its own.
//
// The segments are the truth and the index follows from them. A group of records
// is applied as one batch together with the ledgers it changes and the segment's
// checkpoint, and batches reach the disk in the order in which they were applied,
// so whatever state a crash leaves is one that replay continues from, counting
// nothing twice. Deleting the index loses nothing.
//
// # Keys and values
//
// Numbers in keys are big-endian, in values little-endian; uv is a uvarint.
//
//	"o" incarnation 8, key                 → seq 8, segment 8, offset 8, header 4, body 4, stage 8, attributes
//	"e" stage 8, number 4                  → segment 8, offset 8, header 4, body 4, incarnation 8, owner's key
//	"h" incarnation 8, key                 → tombstone: seq 8, segment 8, offset 8, header 4, body 4; then uv segments
//	"l" incarnation 8                      → objects 8, bytes 8
//	"s" segment 8                          → checkpoint 8, fenced end 8, dead 8, punched 8, listed 8, flags 1 (1 sealed, 2 doomed)
//	"q" incarnation 8, key                 → seq 8, segment 8, offset 8
//	"m" name                               → depends on the name
//
// "o" is a key's current record. Incarnation 0 holds the store's own keys:
//
//	"b" name                               a bucket
//	"l" name                               the latest document of a log
//	"u" incarnation 8, key, 0, upload 16   an upload in progress
//	"p" upload 16, number 2                a part, of an upload or of the object that it became
//
// "e" is one extent of a body that is larger than one record. "h" is kept while
// segments hold dead records of a key: the tombstone that hides them, and which
// segments they are. A tombstone is needed as long as another segment holds an
// older record. "q" is a key whose newest record is lost: reads of it are refused
// unless its current seq is greater.
//
// The attributes of a put begin with what the index must know of the body:
//
//	shape 1: 0 in the record, 1 extents of the record's stage, 2 parts
//	size uv
//	of parts: upload 16, count uv, then for each: number uv, seq uv, size uv
//
// and go on with what internal/engine/local writes there.
//
// # Absent keys
//
// A filter in memory, some 4 bytes a key, knows which keys are certainly not there.
// It is made in the background, and made anew when it has become full.
package index
