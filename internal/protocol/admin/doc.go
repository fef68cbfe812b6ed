// Package admin speaks the admin API of MinIO's clients: mc, the Terraform
// provider and whatever else is built on their client library. What they send
// and expect is in docs/minio.md; what is not offered here answers 501
// NotImplemented at once, since the clients retry other refusals for a while.
//
// The routes are below /minio/admin/v3/ and /minio/admin/v4/ alike, and the
// Prometheus ones below /minio/v2/metrics/. One table (routes.go) maps method
// and path to an operation; one file per noun holds the operations.
//
// Bodies that carry secrets are envelopes (package envelope) under the caller's
// own secret key. Every operation is authorised before its body is read, and a
// body is read to its end, that is to its verified checksum, before a key is
// derived for it.
//
// # Who may do what
//
// Each operation needs its "admin:" action. A caller may, unless a policy denies
// it, change the own secret, read the own user, and manage the own access keys;
// a derived credential (service account, session) that has a policy of its own
// needs the action in that policy even then.
package admin
