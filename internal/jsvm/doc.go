// Package jsvm runs cells of JavaScript: small pieces of code, written by a model, that share variables,
// call tools and wait. It is the only importer of goja and esbuild, and nothing of theirs leaves it.
//
// # How it works
//
// A cell is bounded lexically (prescan.go: how deep a parser could go, whatever it is that nests;
// bounds_regexp.go: what a regular expression unrolls), parsed as the body of one async arrow (parse.go), resolved
// (scope.go, walk.go) and rewritten (rewrite.go): its top-level declarations become properties of the global
// object. esbuild lowers TypeScript and newer syntax, and is asked only when the plain parse fails; positions
// are those of the model's text either way (positions.go). What cells lack is explained where a script names it
// (absent.go). docs/javascript.md is the page for people and prompts.
//
// A session (session.go) is sans-IO. Tools return promises; a drive runs until no microtask is left and
// returns the calls that were made, numbered in program order. The caller performs them and delivers their
// results one by one. Nothing else moves a cell, so the same cell with the same deliveries at the same clock
// does the same things: a running hash says so at each delivery, and recorded calls are compared as they are
// made. A cell is done when its main promise has settled and every call that is not a wait has too.
//
// Waits may compete (set.go): first, Promise.race and Promise.any over direct, open waits make a set, which the
// step reports. When a member settles, the others are closed and their promises reject with WithdrawnError;
// a delivery that comes for one of them later changes nothing.
//
// When a cell has ended, Changes reads the variables (graph.go) and writes those that differ (emit.go);
// Open restores them (restore.go). The formats are described in codec.go.
//
// What goja lacks or gets wrong is mended by a numbered, immutable prelude. goja makes built-ins when they are
// touched, and so do we: a session makes a built-in, mended, bounded and closed, when a script first comes to it
// (realm.go, families.go), with the part of the prelude that it needs. Extending the common built-ins throws. What a
// cell replaces, deletes or adds elsewhere is lost with the VM, so Changes compares the built-ins that the session
// has made with what they were (pristine.go) and notes each difference. goja's API cannot say which it has made, nor
// have a say in how, so layout.go and layout_template.go go to goja's own fields; they find them by name and refuse
// to work with a goja that is made otherwise.
//
// A text is compiled once for each prefix (programs.go).
//
// # What may go wrong
//
// A limit ends a cell as Aborted: the workspace is as it was at its start, and the session is of no more
// use. A call beyond a limit rejects instead. A replay that leads elsewhere is a *DivergedError. A variable
// that cannot be kept is refused loudly, and reading it later says the same words.
//
// A variable that holds a tool which has been revoked is refused from then on, and one whose name a tool has
// taken is deleted; both with a note.
//
// An error's stack has its byte-code offsets taken out where it is read as x.stack, x["stack"], x?.stack or
// {stack} = x. Other ways (Object.entries, Reflect.get, a computed key, a parameter or catch pattern, a chain
// that may end before, as a?.b.stack) still see them: a stack that is printed by such means may differ once
// goja is upgraded, and a replay over the upgrade then diverges.
//
// In this process not everything can be bounded. Single calls that ask for too much throw a RangeError
// (bounds.go): long texts, huge lengths, buffers, BigInt powers, deep JSON, circles of arrays and of proxies.
// What is left ends or hangs the process, whatever this package does:
//
//   - memory that grows step by step: pushing, doubling a text, filling a Map, replacements that multiply a
//     text, BigInts that are multiplied, long chains of bind or of proxies (following those may also overflow
//     Go's stack);
//   - native loops over what a script supplies: new Set of an endless native iterator, a thenable whose then is
//     a built-in, some or filter on {length: 2**53-1}; sorting millions takes seconds;
//   - backtracking regular expressions, which run as long as they like;
//   - constructors of buffers that are reached by another name, as in Reflect.construct or const B = ArrayBuffer.
//
// Package sandbox runs cells in processes that may end: use it for code that is not trusted.
//
// goja takes its time zone from time.Local: call PinUTC first in main. Stack texts of functions that were
// made by an earlier cell differ between a session that ran both cells and one that was restored in between,
// so callers that replay should open a session for each cell.
//
// This package must not do I/O for a script, read the clock for it, keep state between sessions other than
// compiled texts and preludes, or let a goja type appear in its API.
package jsvm
