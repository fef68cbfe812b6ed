// Package segment keeps records in append-only files.
//
// A Set owns a directory of segments. Append writes records behind one another
// in one of the few open segments and returns when they are on the disk and the
// Set's owner has applied them to its index: whoever finds an open segment idle
// writes for all that wait, syncs once, applies the group and hands the segment
// to the next in line. A segment that is full is sealed and never written again,
// and a start never appends to an older segment.
//
// # File
//
// Little-endian throughout. CRC is CRC32C (Castagnoli).
//
//	offset  size
//	0       64    header, first copy
//	64      64    header, second copy (one damaged byte shall not cost the salt)
//	128     …     records
//
// The header:
//
//	+----------------+---------------+------------+------------+------------+-----------+
//	| magic LARDSEG1 | segment id 8  | salt 16    | store 16   | zero 12    | CRC 4     |
//	+----------------+---------------+------------+------------+------------+-----------+
//
// # Record
//
// A record starts on a multiple of 8 bytes; one that takes more than 16 KiB
// starts on a multiple of 4 KiB. What lies between records is zero.
//
//	offset  size
//	0       4     magic "LREC"
//	4       1     kind: 1 put, 2 delete, 3 extent, 4 directory, 5 fence
//	5       1     flags: 1 chained (counts only with the next record where a crash may have torn them), 2 last (seals), 4 closing (only the last directory follows)
//	6       2     length of key
//	8       4     length of header, H = 64 + key + attributes + 4 × blocks
//	12      4     length of body
//	16      8     seq, from the store-wide counter: the highest of a key wins
//	24      8     incarnation of the bucket, 0 for the store's own records
//	32      8     stage: ties extents to the record that commits them
//	40      8     base: where the synced part of the segment ended at this write
//	48      4     length of attributes
//	52      4     zero
//	56      8     MAC: SHA-256(salt, segment id, offset, header without this field), first 8 bytes
//	64      …     key, attributes, CRC of each 64 KiB block of the body
//	H       …     body, then zeros to a multiple of 8
//
// The salt is secret, so a body that contains a segment file does not pass for
// records when a scan looks for the next one behind a hole. The base tells
// damage from a torn write: what lies before the base of any later record, and
// before a fence or a seal, had been synced.
//
// # Directory
//
// Every few hundred records, and when a segment is sealed, a directory lists
// the records since the one before (attributes, all numbers uvarint):
//
//	segment, end of the listed part, then for each record: kind (1 byte), offset, size, seq, incarnation, key length, key
//
// so that a scan that misses a record knows which key it held. Two directories
// seal a segment: a closing one, and a last one that lists the closing one. A fence has the
// same form: it lies in a newer segment, says where an older one ends, and lists
// the records that the older one's directories do not. Records of a segment at
// or behind its fence do not count: their writers were refused.
//
// # Concurrency
//
// All methods of Set may be called at once. Apply is called by one goroutine per
// open segment.
package segment
