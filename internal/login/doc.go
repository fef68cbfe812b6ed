// Package login is the client's side of builds without passwords: it finds the
// identity token that a CI system gives a job, exchanges it once for keys that
// end by themselves, runs a command with them, and revokes them when it ends.
//
// Tokens and keys travel over TLS or stay on the machine. Nothing is written to
// disk; secrets appear in the command's environment and, if an export is asked
// for, on the writer that it goes to.
package login
