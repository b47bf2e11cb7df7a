// Package config turns flags, the environment and the file of `statek dev` into checked values, and builds
// the logger.
//
// A [Set] binds each setting to a flag and a variable. After the flags are parsed, [Set.Resolve] takes for
// each the first of: flag, environment, file, default. Flags only store text, so that every value is judged
// in one place and every complaint reads the same: expected <name> to be <what>, got "<value>".
//
// The file is what `statek dev` writes (DATA/env, lines NAME=value): with it the commands of a second
// terminal find the API and the database. It is read only by commands that ask for it, and only its
// DATABASE_URL and STATEK_URL count.
//
// What may go wrong: a value may be unusable (the error names it and a remedy); the file may be unreadable
// (an error) or absent (nothing). Passwords in URLs are replaced wherever a value is shown: [Redact].
//
// This package must not open connections, know what a setting is used for, or write files.
package config
