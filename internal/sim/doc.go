// Package sim runs the real engine through worlds in which everything goes wrong that may.
//
// # What it is
//
// A world is a few jobs, two or three workers and one database in memory (package memstore). The workers are real:
// engine.Engine, engine.Keeper, jobs and temporal, on several goroutines each. One number, the seed, decides what the jobs
// do and everything that happens to them: whose transaction is next, whose reply is lost, who is killed, stopped or told to
// leave, when a doorbell is late, lost or rung twice, how time passes and whose clock is wrong, what people and
// applications do meanwhile.
//
// # How it works
//
// [Run] opens a bubble of testing/synctest, whose clock moves only when every goroutine in it is blocked. Each
// transaction of a worker, each request to a model or to a tool outside blocks in [world.park] until the simulation
// lets it go on. The simulation waits until all are blocked, checks what must hold, and picks one thing that happens next: so a
// seed is one order of events, and the same seed gives the same trace. After some hundred of them everything heals: then all jobs
// have to end.
//
// Cells run on a small machine that knows a dozen steps instead of JavaScript and keeps the contract of package jsvm; the
// same programs are JavaScript too, and some worlds run them on goja.
//
// # What must hold
//
// After every event: a job's row is the fold of its history, which is dense; no mail is gone without the commit that
// consumed it; whoever waits for what is there is owed a look; a job that has work and no owner has a doorbell, unless a
// fault has just taken it away. In the end: every job has ended, with no mail and no wait left; the ledger has what history says
// SQL tools did, each once; outside calls were made at least once, and those that are to be made once not more often; each message is in one
// history once; each claimed value was seen by code, or is recorded as discarded and was given back. No replay diverged
// and no commit was refused.
//
// # What may go wrong
//
// A world that breaks a rule is written to testdata/seeds, with how to run it again. A seed means something only together with
// the code that draws from it: when the simulation changes, old seeds become other worlds. What was found gets a
// test of its own in its package, too.
//
// What the simulation cannot show: that Postgres does what memstore does (package storetest is for that), what happens inside
// one transaction, and how fast anything is.
//
// This package must not be used by anything but tests, must not decide what is right for a store (storetest says it), and must not
// take an event from anything but its seed: no map order, no clock of the machine, no select between two things that may both
// have happened.
package sim
