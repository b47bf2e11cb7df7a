// Package jobs is the life of a job as a pure function.
//
// # What it is
//
// A job is a list of facts, its history, and everything else follows from it. [Step] applies one fact: it
// takes a job, an event and the time, and returns the job afterwards and what has to happen next. [Fold] does
// so for a whole history. The row in the database that says "this job is SUSPENDED" is a cached fold, kept so
// that nobody has to read a history to find work; should the two ever differ, the history is right.
//
// The package does nothing itself. It reads no clock, opens no connection, draws no random number. The engine
// does what the effects say and comes back with what came of it:
//
//	effects:  StartCell → Execute → Perform → Deliver …      what should happen
//	events:   CellStarted → CallIssued → CallSettled …       what has happened
//
// # States
//
//	READY       submitted, nothing has run; perhaps not due before run_at
//	WARMING_UP  running the agent's warmup blocks; no model has been asked
//	STARTED     in the dialogue: a request is open, or a reply's code runs
//	SUSPENDED   the open cell waits, for somebody or for a call's next attempt; it costs rows
//	PAUSED      stopped by an operator, a spent budget or exhausted attempts; resume goes on
//	DONE        ended: succeeded, failed or cancelled
//
// A diagram of all transitions is generated from Step into docs/states.md. A message to a succeeded job makes
// it run again; a failed or cancelled one needs [Resumed].
//
// # How it works
//
// At most one thing is in flight: an open cell, an open model request, or a reply whose code has not been
// started. What comes next is a function of the job alone (next.go), never of the event that led there.
// That is what makes a crash uninteresting: whoever claims the job asks with [Claimed] and hears what the
// dead worker would have heard. Even an ending is decided first and recorded after: a warmup block that
// failed leaves MustFail in the job, and it stays there until [Finished] is written.
//
// An open cell is the exception by design. Its program is not in the job but in its source and its recorded
// calls, so after a crash the effect is always Execute: run the cell again from its start through all that is
// recorded of it.
//
// Others speak to a job through its mailbox. [Open] turns a mailbox row into the events it means for the job as
// it stands now, and into none when it has come too late to mean anything.
//
// # What always holds
//
// Property tests drive random jobs through random crashes, mail and duplicates and hold Step to this:
//
//   - Fold(history) is the job, and its JSON reads back as the same job.
//   - A job that neither rests nor sleeps has something to do, and a claim says what.
//   - Each recorded event advances Seq by one; a refused one changes nothing and is an [*IllegalError].
//   - A DONE job stays DONE but for a message (succeeded) or resume (failed, cancelled).
//   - It succeeds only after exit, and only when the model was shown every message.
//   - A turn is attempted at most Limits.Attempts times between two resumes, counting the attempts that were
//     lost with their worker; turns and failures stay within their budgets.
//   - Waits that compete are open waits in one undecided set each; when one wins, the others are closed with it.
//   - A call whose attempt has failed is made again, not settled: it stays open until an attempt succeeds or the last
//     one's error is given to the code; a resume grants fresh attempts.
//   - Only a cell whose open calls are all waits, or calls to be made again later, can sleep, and a cell that sleeps
//     or is paused runs no code: it issues no call, prints nothing, and can only be aborted.
//
// # What may go wrong
//
// An IllegalError in production is a fault of the engine, not of a user: the engine gives the job up and does
// not write. A history row of a kind that [Decode] does not know was written by a newer version; the job is left to
// a worker that knows it. Changing what an event does changes what old histories fold to: a new meaning needs a
// new event or a new field whose zero value means what it meant before.
//
// This package must not import anything that does something: no os, net, sync, time.Now, math/rand,
// database/sql, pgx, goja or river. It must not know SQL, prompts or JavaScript, and nobody else may decide a
// job's state.
package jobs
