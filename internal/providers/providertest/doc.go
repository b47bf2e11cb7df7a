// Package providertest tests providers and what uses them without a model service: a local server that
// speaks OpenAI's chat completions, its failures included, and a suite that every provider must pass.
//
// [NewServer] starts a server on loopback. What it answers is queued with [Server.Queue] or decided by a
// function with [Server.Handle]; what it was asked is kept in [Server.Requests] and announced on
// [Server.Arrived], so that a test can act in the middle of a request. An [Answer] can be late, an error,
// broken, cut off or never come.
//
// [Conformance] fixes what the engine relies on: text verbatim, failures typed and sorted, no retry of the
// provider's own, cancellation within a second.
//
// This package must not be imported by anything but tests.
package providertest
