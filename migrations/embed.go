// Package migrations holds the SQL of schema statek as golang-migrate files: NNNNNN_name.{up,down}.sql.
//
// Each file is sent as one simple-protocol query and is therefore one transaction: a file that fails has
// changed nothing. A file that has been released is never edited; a new one is added. Up files must leave a
// running worker of the release before them working. River's own tables are not here: they are in schema
// river and are made by package queue, before these files run, because statek.ring writes to them.
//
// This package must not contain code beyond the embedding.
package migrations

import "embed"

// FS holds every migration file in its root.
//
//go:embed *.sql
var FS embed.FS
