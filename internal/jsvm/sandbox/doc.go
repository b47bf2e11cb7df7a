// Package sandbox runs cells in child processes: a jsvm.Machine that no script can hurt.
//
// # How it works
//
// A child is this binary, started again under another name (Main answers to it), that has locked itself
// down (package lockdown) before it reads a cell. It is a function: (workspace, cell, deliveries) → step, over
// frames (frame.go) on its standard input and output, one request at a time. It serves one prefix for its
// life, so tenants share no process.
//
// The parent owns all state. Its sessions (session.go) remember what they were opened with, the cell, and
// every delivery; any child can be killed at any moment, and a session whose child is gone is rebuilt in
// another one by running its cell again with its results. Nobody above notices.
//
// The pool (pool.go) lends children: the one that holds the session, else an idle one of its prefix, else a
// new one, in place of the least recently used when there are as many as may be. One spare is kept started,
// so that a new prefix does not wait for a process.
//
// # Limits
//
// The child interrupts JavaScript that takes too much CPU time, and watches its heap each ten milliseconds.
// What neither reaches (a native loop, a single allocation, a stack overflow of Go) is the parent's: it kills
// a child that has used its CPU time and half a second, and reads from a dead one why it died (process.go). A
// cell whose child died of anything but time is run again, alone in a fresh child; only if that dies too is
// it aborted, with the limit, the amount and a remedy. A step whose child died is discarded whole.
//
// # What may go wrong
//
// A child's frames are hostile: their length is bounded before memory is taken, only the session that is
// driven may answer, and what it says is checked against its grants and limits (check.go). A frame that breaks
// the rules ends the child like a crash does.
//
// Where the host lacks a layer (an old kernel, not Linux) Strict refuses to start and BestEffort says which;
// Pool.Layers tells both.
//
// This package must not interpret JavaScript in the parent, trust a child, or let one child see two prefixes.
package sandbox
