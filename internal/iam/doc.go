// Package iam is the vocabulary of identity and the one policy engine: names,
// principals, credentials, policy documents, and the decision whether a request
// is allowed. S3, admin, STS and console all ask it.
//
// The package does no I/O and reads no clock. Who the users are and which
// policies they hold is kept by internal/engine/identity.
//
// Nothing outside this package asks whether a caller is root: root is a
// principal to whom Evaluate says yes.
package iam
