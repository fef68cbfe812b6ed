package edge

// Reserved reports whether the paths below a first segment belong to protocols
// other than S3: MinIO's health, metrics and administration, and our endpoint
// for credentials. A bucket of that name would hold keys that path style cannot
// reach, so none is made, and below a domain the name is a host of the service.
func Reserved(segment string) bool { return segment == "minio" || segment == "larder" }
