// Package httpapi serves Statek's REST interface and holds its client.
//
// [New] makes the handler: chi routes, huma describes and validates, and one file per subject asks the use
// cases and shapes their answers. [Serve] runs it with timeouts that end a stuck client but not a stream.
// [Client] is the other end, for the command line.
//
// Every refusal is an RFC 9457 problem (application/problem+json) whose errors name the field, the value and
// what would be right: one transformer gives huma's findings that form, and one function the errors of the
// use cases. Unknown fields and unknown query parameters are refused, because a filter that is silently
// ignored is worse than an error. Bodies are read whole, within a limit and a deadline, before anything
// looks at them.
//
// A job's history is a page of JSON, or a stream of server-sent events when the client accepts
// text/event-stream: the id of an event is the row's sequence number, so a client that lost its connection
// goes on with Last-Event-ID and misses nothing. A stream ends with an event named end when the job is done.
//
// What may go wrong: the database may be away (503 with Retry-After); a client may vanish (the request's
// context ends); a server may be told to stop, and then waiting requests answer at once with what they
// know and streams end, to be taken up at another replica; a handler may panic (500 without internals, the
// stack in the log, both under the same urn:uuid).
//
// This package must not touch the database, decide what a job does next, or keep anything between requests.
package httpapi
