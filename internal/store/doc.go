// Package store is all SQL of Statek and its one write path.
//
// What it is. Queries live in one .sql file per table; sqlc turns them into package db. The one write that
// matters, a job's commit, is Commit in commit.go: a single pipelined round trip that is one transaction.
// Everything else reads, or moves rows that belong to nobody in particular (timers, groups, workers).
//
// How it works. The first statement of every commit is the fence: statek.commit_jobs (and commit_job) raises unless (job, epoch,
// owner) still matches, so a worker that has lost its job writes nothing, however late its packets arrive.
// History rows are inserted by the same statement and numbered under the row lock, so commit order is seq
// order and followers can read "seq > last". A commit locks no job row but its own. Others are rung through
// statek.ring, which only inserts.
//
// What may go wrong. A commit that the server refuses has written nothing and says why; ErrFenced means the
// job belongs to somebody else now. A connection that breaks around COMMIT leaves the outcome open:
// ErrUnknownOutcome, and the owner drops the job and claims it again, which waits for the lost transaction.
//
// This package must not decide what becomes of a job (internal/jobs does), must not import the engine or
// River, and must not hold a transaction open while code runs or a model thinks.
package store
