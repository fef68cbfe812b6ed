// Package app is the server: it turns a Config into listeners, engines and
// protocols, wires them to one another, runs them and ends them in order. It is
// the only package that knows both engines and protocols.
package app
