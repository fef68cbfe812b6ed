// Package oidc verifies identity tokens of outside issuers: CI systems, Kubernetes
// ServiceAccounts, a company's own provider. STS exchanges what it accepts for
// credentials.
//
// Several issuers stand side by side; a token's own "iss" picks one of those that
// are configured, and nothing else of an unverified token is used. A token is
// accepted if, and only if,
//
//   - it is a compact JWS with one signature by a key of the issuer's key set, of an
//     asymmetric algorithm on the issuer's list: never "none", never a shared secret;
//   - keys come from the issuer's discovery document or from a file; the "jku", "jwk",
//     "x5u" and "x5c" of the token are never looked at;
//   - "iss" is the issuer, "aud" names us, "exp" is there and ahead, "nbf" is not
//     ahead (one minute of skew), "sub" is there;
//   - a rule, or its policy claim within the allow-list, maps it to a policy.
//
// An issuer that signs for the whole world (GitHub's, gitlab.com) must be narrowed
// by a rule on the number of an owner or repository; else New refuses it.
//
// A server that fetches is a server that can be sent somewhere: every URL comes
// from the configuration, or from the discovery document of such a URL and then
// not on loopback; none leads to a link-local address; https except on loopback,
// judged by the address that is dialled; no redirects; answers and times are
// bounded. An unknown key id makes an issuer's keys be fetched again, at most once
// in ten seconds.
//
// All types are safe for concurrent use. Nothing runs in the background.
package oidc
