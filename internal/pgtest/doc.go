// Package pgtest gives tests a real PostgreSQL.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }   // stops the server, then looks for leaked goroutines
//
//	pool := pgtest.DB(t)     // a private, migrated database; commits and notifications are real
//	dsn := pgtest.URL(t)     // the same as a DSN, for programs under test
//	tx := pgtest.Tx(t)       // a transaction that is rolled back; cheapest, for what needs no commit
//	wire := pgtest.NewWire(t, dsn) // a way to the database that can be cut, stalled, or lose replies
//
// River's tables are in schema river and ours in schema statek. A database is a clone of a template that is
// named by the hash of all migrations, and is dropped at the end of its test. The server is TEST_DATABASE_URL
// (its user must be allowed to create databases and roles) or else PostgreSQL in Docker (testcontainers-go)
// or else from local binaries (package devdb). The last two are private to the test process, so that a long transaction of
// another package, which holds back the snapshots of the whole cluster, cannot slow a test; they start in
// half a second from a folder that is made once per set of migrations and kept in the user's cache folder.
// They end with the process, also when it is killed.
//
// Our own servers run without fsync and with synchronous_commit off: a test that kills the server says
// Durable.
//
// A package whose tests use DB, URL or Tx calls Main; tests that look for goroutines themselves must ignore
// the server's (goleak.IgnoreCurrent after the first use), and must be of package x_test where x is imported
// by this package: migrations, internal/devdb, internal/queue.
//
// Without any database a test fails with one sentence that says what to install. This package must not be
// imported by anything but tests, for what a program imports is linked into it, and must not fake a database.
package pgtest
