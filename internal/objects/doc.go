// Package objects is the pure part of versioned JSON documents: what code in a cell may ask for, what names
// and sizes are right, and what a merge patch makes of a document.
//
// An object has a prefix, a collection and a key, and a version that only grows: a write that says which
// version it was made from is refused when another one came first. Internal/store keeps them; the
// SQL function statek.write_object is the only one that writes.
//
// What may go wrong: a call with wrong arguments is an [ArgumentError] that names the argument, the value and
// what would be right; a version that is not the expected one is a [ConflictError].
//
// This package must not touch a database, a clock, a file or randomness.
package objects
