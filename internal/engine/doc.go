// Package engine is where things happen: it claims a job, asks jobs.Step what to do, does it, and commits.
//
// How it works. A doorbell names a job; Advance claims it and drives a run until the job sleeps or ends. A
// run holds the job in memory, applies events to it (jobs.Step), buffers them, and flushes the buffer in one
// commit: always before anything leaves the process (a request to a tool or a model), together with the
// result of a transactional tool, and when the job is released. What is in the buffer and was never
// flushed simply did not happen: nobody outside has seen it. No transaction or lock is open while code runs
// or a model thinks.
//
// A cell is driven sans-IO: the VM returns the calls it made, the run plans the whole drain, performs it,
// and delivers one result at a time in commit order. When only waits are open the cell sleeps: the VM is
// thrown away, and whoever is rung later runs the cell again with the recorded results.
//
// A Head is the beginning of a run whose job is being submitted here: its first cell computes meanwhile, and nobody finds
// out unless the job is given to this worker.
//
// What a wait gave and no code will see (its cell has ended, another wait was first) is a discard: it is recorded,
// shown to the model, and given back by its temporal in the transaction that records it. A message that is
// asked for in a set of waits has to win the set before it is given.
//
// A Worker is the process around it: a heartbeat on a connection of its own, listeners, timers and the
// sweeper that takes over from the dead.
//
// What may go wrong. Losing the job (ErrFenced) or the reply to a COMMIT (ErrUnknownOutcome) ends the run at
// once and writes nothing more: the heartbeat finds what the database thinks we own and gives it back. A
// commit that the server refuses for good pauses the job with the error. A worker without contact for four
// seconds stops all its work by itself.
//
// This package must not decide transitions (jobs does), know SQL or River, or see a goja type.
package engine
