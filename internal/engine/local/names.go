package local

import (
	"encoding/binary"
	"fmt"

	"github.com/larder-cache/larder/internal/engine/index"
)

// appendOwner encodes a key together with its bucket's incarnation.
func appendOwner(incarnation uint64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, incarnation), key...)
}

// name puts the buckets' names and readable keys into the findings.
func (c *checker) name() {
	if c.index != nil {
		_ = c.index.Buckets(func(name string, attrs []byte) error {
			c.learn(index.System, index.Bucket(name), attrs)
			return nil
		})
	}
	for i := range c.report.Findings {
		f := &c.report.Findings[i]
		k, ok := c.keys[f.Key]
		if !ok {
			continue
		}
		f.Bucket, f.Key = c.readable(k)
	}
}

// readable says whose a key is in words.
func (c *checker) readable(k lostKey) (bucket, key string) {
	if k.incarnation != index.System {
		return c.bucketName(k.incarnation), string(k.key)
	}
	if len(k.key) == 0 {
		return "", ""
	}
	switch k.key[0] {
	case index.BucketKey:
		return string(k.key[1:]), ""
	case index.LogKey:
		return "", "log " + string(k.key[1:])
	case index.UploadKey:
		if inc, key, _, ok := index.ParseUploadOwner(k.key); ok {
			return c.bucketName(inc), string(key)
		}
	case index.PartKey:
		if c.index != nil {
			if e, ok, err := c.index.Object(index.System, k.key); err == nil && ok {
				if o, ok := index.PartOwner(e.Attrs); ok {
					return c.bucketName(o.Incarnation), string(o.Key)
				}
			}
		}
		return "", fmt.Sprintf("part %d of an upload", index.PartNumber(k.key))
	}
	return "", ""
}

func (c *checker) bucketName(incarnation uint64) string {
	if name, ok := c.names[incarnation]; ok {
		return name
	}
	return fmt.Sprintf("(bucket %d, whose name is lost)", incarnation)
}
