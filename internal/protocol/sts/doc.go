// Package sts exchanges what a caller has for credentials that end by themselves.
//
// It speaks two protocols, each an edge.Protocol:
//
//   - Query is AWS's Security Token Service, as far as a server without roles has
//     one: AssumeRole, AssumeRoleWithWebIdentity and GetCallerIdentity, a form
//     posted to "/", XML back. A role's name is accepted and means nothing: rights
//     come from the caller's policies, or from the rules that map a token.
//   - Endpoint is what AWS_CONTAINER_CREDENTIALS_FULL_URI points at: the content of
//     a token file in Authorization, JSON back. It takes a token of an outside
//     issuer, or one of our own session tokens to renew the session. DELETE, signed
//     with the session itself, ends it.
//
// Credentials are made and remembered elsewhere (Sessions), outside tokens are
// verified elsewhere (Tokens). Here are the wire forms, and what is refused before
// anything is made: sessions of sessions, policies above 2,048 bytes, durations
// below 900 s (of Endpoint 180 s), above 365 days or the issuer's bound, tokens in
// the clear.
//
// Failures are counted for each address. From one that fails too often, tokens
// are verified one after the other, and failures are answered "Throttling"; what
// is right is served all the same, so that nobody locks out root or those behind
// the same address.
//
// All types are safe for concurrent use. Nothing runs in the background.
package sts
