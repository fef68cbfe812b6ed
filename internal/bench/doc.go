// Package bench drives an S3 server with the work that sccache gives it, and
// measures what comes back: throughput, latency and errors.
//
// It is made to cost little beside the server under test, which often shares
// the machine: requests are signed and rendered before the clock starts, and
// connections are plain HTTP/1.1 over net.Conn, as sccache's are. It speaks to
// any S3 server, so that others can be compared.
package bench
