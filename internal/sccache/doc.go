// Package sccache knows the client: what stock sccache needs to be told, and
// what it then does.
//
// It has two halves. Profile is what a build machine must know of a server; it
// is kept in a file and rendered as a block to paste into a shell, a workflow
// or a configuration file. The rest is a model of sccache itself, as read from
// its sources and tried with its releases 0.16, 0.17 and 0.19: which settings
// it takes from where (Settings), which URL it makes of them (Address), which
// credentials win (Credentials), how it finds a name (Resolver), and which
// authorities it trusts (TrustStore). Releases differ; Version says in what.
//
// The package opens files and asks name servers where a caller asks it to, and
// changes nothing but the profile's own file. Nothing in it logs, and no error
// it returns holds a secret. All types are safe for concurrent reading.
package sccache
