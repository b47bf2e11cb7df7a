// Package openai asks services that speak OpenAI's chat completions: OpenAI itself, OpenRouter, and nearly
// every other service and local server.
//
// The official client writes the request and reads the reply; this package decides everything around it.
// A reply is read whole, up to a bound, and must be JSON before the client sees it, because the client's
// parser takes a broken body for an empty one. Redirects are refused: a key goes to the host it was given
// for. The client's own retries and its environment variables are off.
//
// What may go wrong is sorted into retryable and not (see package providers). An answer without a choice,
// or one that is no JSON, is retryable: overloaded gateways send both with status 200, as they send errors
// inside a 200. A reply cut at the service's output limit is returned as it is, with a note.
//
// This package must not retry, log, or read the environment.
package openai
