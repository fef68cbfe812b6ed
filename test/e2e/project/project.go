// Package project holds the two projects that the tests build with sccache: rust
// depends on 78 crates, c on crates that compile C through the cc crate. Their
// dependencies are pinned by Cargo.lock.
package project

import "embed"

// The projects, by the name of their folder.
const (
	Rust = "rust"
	C    = "c"
)

// Files are both projects' sources.
//
//go:embed rust c
var Files embed.FS
