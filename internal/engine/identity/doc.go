// Package identity keeps who there is and what they may: users, groups, named
// policies, service accounts, the subjects of OIDC issuers, and the revocations
// of sessions.
//
// Everything is one document, a few hundred bytes a user, that lives on a
// create-once log of the store (object.Log). It is held in memory as an immutable
// snapshot; a change clones it, appends the next generation and publishes it, so
// a change is in force for the next request and no reader ever waits. Another
// writer's generation is read and the change made again on top of it.
//
// A document is sealed as a whole, with a key kept apart from the store:
//
//	+--------------------+----------------+-------------------------+
//	| "larder iam 1\n"   | header, JSON   | ciphertext of the JSON   |
//	|                    | and "\n"       | document, see Sealer     |
//	+--------------------+----------------+-------------------------+
//
// The header names the deployment, the generation and the key; all of it is
// authenticated with the ciphertext, so that a document of another generation or
// deployment put in the place of this one does not open.
//
// Sessions are not stored. A session token is a sealed text that holds what the
// session is (token.go); only revocations are written down, until the session
// would have ended by itself.
//
// Each change adds a record for the audit trail to the same document; from there
// it moves to the audit logs (audit.go). So no change goes unrecorded, and none is
// recorded that did not happen.
//
// Service implements what sigv4 and edge ask for: Credential and Authorize. Its
// methods may be called at once. Mutating methods do not ask whether the actor
// may: protocols do, with Authorize, before they call. What they refuse whatever
// the protocol decided is named in their comments.
package identity
