// Package migrations holds the SQL of schema statek as golang-migrate files, NNNNNN_name.{up,down}.sql, and
// applies them.
//
// Each file is sent as one simple-protocol query and is therefore one transaction: a file that fails has
// changed nothing, and the version is put back, so that the next start tries again. Only a migrator that is
// killed between the file and its mark leaves the mark "dirty"; the error then says what to look at. A file
// that has been released is never edited; a new one is added. Up files leave a running worker of the release
// before them working. River's own tables are in schema river and are made by package queue before these
// files run, because statek.ring writes to them.
//
// This package must not know any table but its own list of applied versions, and must not import a package
// of this module: the test databases are made with it.
package migrations

import "embed"

// FS holds every migration file in its root.
//
//go:embed *.sql
var FS embed.FS
