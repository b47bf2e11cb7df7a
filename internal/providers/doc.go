// Package providers is how the engine asks a model: one interface, [Provider], and what its implementations
// share.
//
// A provider turns one [Request] into one [Reply] or one [*Error]. It does not retry, stream, cache or
// count: attempts are history, and history is the engine's. [Error] carries what the engine needs to decide
// (may it pass, how long to wait) and what a person needs to understand it. A [Registry] finds providers by
// the names agents use; [FromEnv] reads which ones an environment declares.
//
// What may go wrong: a service may be slow, overloaded, wrong about itself or gone. Time-outs, 408, 409,
// 429, 5xx, connections that break and bodies that are no JSON are retryable; everything else a service
// refuses is not, because the same request would be refused again. A reply may be paid for and lost when
// the connection breaks behind the model's answer; Request.Key lets a service that knows idempotency keys
// find it again.
//
// This package must not read the process environment, log, hold a key anywhere but in a [Secret], or know
// about jobs beyond the names in a request.
package providers
