package index

// Absent reports whether a look-up of an object's key ends at the filter.
func (x *Index) Absent(incarnation uint64, key string) bool {
	return x.absent(appendKey(nil, spaceObject, incarnation, []byte(key)))
}
