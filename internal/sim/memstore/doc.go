// Package memstore is the database of a simulation: what internal/store keeps in Postgres, in memory.
//
// A [DB] is the database and a [Session] is one process's way to it; it implements the interfaces that
// package engine declares. Each method consists of the same transactions as the store's method of that name, and every
// transaction passes the session's [Gate], which decides when it runs and whether its caller hears of it. A
// transaction is atomic and the only one at its moment; what is interesting about two that overlap (a writer that began
// before a wait was registered and commits after it, a row that another transaction has locked) is modelled where it
// matters: [Session.Emit] and the commit that ends a job have two parts, transaction ids and snapshots
// are counted, and a task can be locked.
//
// The world has one tool in SQL, which writes its argument to a ledger unless that is "fail", and one temporal, which
// claims the first ready task of a queue. Objects and approvals are not kept.
//
// What it must do is written down in package storetest, which runs against the real store too: where they differ,
// this package is wrong. [Bugs] breaks it on purpose, to show that a simulation notices.
//
// This package must not be used by anything but tests, must not decide transitions (jobs does), and must not read a
// clock or randomness of its own.
package memstore
