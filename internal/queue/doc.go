// Package queue is the doorbell: River carries "look at job X" between processes, and nothing else.
//
// What it is. A doorbell is a River job of kind "doorbell" whose only argument is a job id. All truth is in
// schema statek; a doorbell that is lost, doubled, late or spurious changes nothing but latency.
//
// How it works. Doorbells are inserted by the SQL function statek.ring, in the transaction that gives the
// job something to look at, never through River's client: its transactional insert would NOTIFY inside the
// hot commit. Work runs a River client over them and hands each id to a function. The function's result is
// not River's business: it returns nothing, so River never retries a doorbell, and rows complete through
// River's batch completer.
//
// What may go wrong. A process that dies between fetch and claim leaves its doorbell running for ever: the
// sweeper removes such rows and rings the job again. Without River's leader finished rows pile up and
// nothing else happens: timers are ours, not scheduled_at.
//
// This package must not know what a job is, and is the only one that imports River.
package queue
