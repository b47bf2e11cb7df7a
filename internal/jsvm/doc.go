// Package jsvm runs cells of JavaScript: small pieces of code, written by a model, that share variables,
// call tools and wait. It is the only importer of goja and esbuild, and nothing of theirs leaves it.
//
// # How it works
//
// A cell is bounded lexically (prescan.go), parsed as the body of one async arrow (parse.go), resolved
// (scope.go, walk.go) and rewritten (rewrite.go): its top-level declarations become properties of the global
// object. esbuild lowers TypeScript and newer syntax, and is asked only when the plain parse fails.
//
// A session (session.go) is sans-IO. Tools return promises; a drive runs until no microtask is left and
// returns the calls that were made, numbered in program order. The caller performs them and delivers their
// results one by one. Nothing else moves a cell, so the same cell with the same deliveries at the same clock
// does the same things: a running hash says so at each delivery, and recorded calls are compared as they are
// made. A cell is done when its main promise has settled and every call that is not a wait has too.
//
// When a cell has ended, Changes reads the variables (graph.go) and writes those that differ (emit.go);
// Open restores them (restore.go). The formats are described in codec.go.
//
// What goja lacks or gets wrong is mended by a numbered, immutable prelude. The intrinsics are locked after
// it ran: extending or replacing them throws, because it would be lost with the VM.
//
// # What may go wrong
//
// A limit ends a cell as Aborted: the workspace is as it was at its start, and the session is of no more
// use. A call beyond a limit rejects instead. A replay that leads elsewhere is a *DivergedError. A variable
// that cannot be kept is refused loudly, and reading it later says the same words.
//
// In this process not everything can be bounded: one allocation of a terabyte, a native loop over 2⁵³
// elements, a proxy that is its own prototype end or hang the process, whatever this package does. Run
// untrusted cells in the sandbox child.
//
// goja takes its time zone from time.Local: call PinUTC first in main. Stack texts of functions that were
// made by an earlier cell differ between a session that ran both cells and one that was restored in between,
// so callers that replay should open a session for each cell.
//
// This package must not do I/O for a script, read the clock for it, keep state between sessions other than
// compiled preludes, or let a goja type appear in its API.
package jsvm
