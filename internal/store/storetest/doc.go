// Package storetest says what a store must do, as tests that any store runs.
//
// Two stores do: internal/store over Postgres, and internal/sim/memstore, which a simulation runs the engine over. What a
// simulation finds out is worth something only if both mean the same, so every rule that it relies on is a case here: who
// gets a job and who is fenced, what is written together, which ring is never lost, when a wait ends and who wins.
//
// A case drives a [System]: the interfaces of package engine, and a [World] that does what applications, people and other
// workers do. Each case gets an empty one. Where the stores differ, Postgres is right, unless it is the design that says so.
//
// This package must not know a store, nor look at rows: what cannot be seen through these interfaces does not matter.
package storetest
