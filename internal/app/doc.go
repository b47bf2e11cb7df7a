// Package app is the use cases of Statek: what the public package, the REST interface and the command line
// share.
//
// What it is. App answers requests: submit, inspect, tell, apply. Worker is the process that drives jobs: it
// puts together the engine, the store, the doorbell queue and the listeners, under a fresh identity for
// every start. Both need nothing but a database URL.
//
// How it works. App checks everything a caller gives and answers with *Error, which names the field, the
// value and the remedy. A database that is away is not an error at construction: calls say KindUnavailable
// until it is back. Waiting callers (WaitJob, FollowHistory) are woken by a notification that workers send
// after their commits, and look by themselves every second in case one was lost.
//
// What may go wrong. Worker loses contact or is declared dead: it stops all work and starts anew under
// another id.
//
// This package must not speak HTTP, read the environment or flags, or decide what becomes of a job.
package app
