// Package devdb starts a private PostgreSQL for development, the demo and the tests.
//
// Start looks for PostgreSQL binaries (STATEK_PG_BIN, PATH, the folders where packages put them), makes a
// data folder once and runs the server on a free port of 127.0.0.1 with a generated password. Without
// binaries a Docker engine is asked, with the docker command line; without either the error says what to
// install.
//
// The server runs below a shell that holds the other end of a pipe of ours: Stop closes the pipe and waits,
// and when this process is killed the kernel closes it, so the server ends with us in every case. PostgreSQL
// refuses to run as root; then it runs as user postgres (or nobody), and when that user cannot reach the
// folder asked for, a folder under /var/lib is used and the log says so. A container is stopped in the same
// way, by a shell that waits at the other end of a pipe; its data ends with it.
//
// A data folder is kept and used again. A folder whose server is running, for another process of ours or
// started by hand, is joined and not stopped. What may go wrong: a folder made by another major version (the
// error names both), a disk without room (the error shows the end of the server's log), a server that was
// killed and needs long to recover (bounded by the context of Start), a Docker engine on another machine (the
// port is on its loopback, not ours; the error asks).
//
// This package must not know Statek's tables, must not link a container library into the binaries, and nothing that serves production may import it.
package devdb
