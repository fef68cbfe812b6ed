// Package storetest is the contract of object.Store in executable form.
//
// Run is the conformance suite: every store passes it, whatever lies beneath.
// It asks only what the contract promises, through the contract alone.
//
// Memory is an honest store in memory, for tests of whatever stands on a store.
// It passes the suite too, so a test that runs on it sees no behaviour that a
// real store would not show.
package storetest
