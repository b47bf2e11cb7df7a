// Package e2e tests Statek from outside: the three binaries as processes, a database of their own, a model
// service that speaks OpenAI's protocol, and a service that HTTP tools call.
//
//	w := newWorld(t, files{"agents/clerk.md": modelAgent}) // database, definitions, API
//	one, two := w.worker(), w.worker()
//	job := w.submit("clerk", nil)
//	one.kill()                                              // as kill -9 does
//	w.ended(job)
//
// The binaries are built once per run of the tests, from the checkout. Every process is ended by its id when
// its test ends; what it wrote is shown when the test fails, and may never hold a secret. Tests wait for
// events: a line of output, a request that arrives, a row of history. Where a row has no event they ask the
// database, which does the pausing.
//
// What may go wrong: a machine so busy that a heartbeat is four seconds late makes workers give up, as it
// would in production; the tests then still pass, but later.
//
// This package must not be imported, and must not reach into the processes it tests: what it knows of them it
// learns from their output, the API and the database.
package e2e
