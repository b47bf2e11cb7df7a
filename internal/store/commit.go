package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/jobs"
	"statek/internal/store/db"
)

// Commit writes c in one transaction and one round trip. It reports whether the job was released: false
// after Release means that somebody rang and there is mail to read. Errors: jobs.ErrFenced,
// jobs.ErrUnknownOutcome, or what the server refused (then nothing was written).
func (s *Store) Commit(ctx context.Context, c jobs.Commit) (released bool, err error) {
	batch := &pgx.Batch{}
	if err := s.queue(batch, c, &released); err != nil {
		return false, err
	}
	// Outside an explicit transaction a pipelined batch with one Sync is one implicit transaction.
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return false, outcome(err, c.Job)
	}
	s.ring(c)
	return released, nil
}

// CommitIn writes c at the end of a transaction that already did something, and commits it.
func (s *Store) CommitIn(ctx context.Context, tx pgx.Tx, c jobs.Commit) error {
	batch := &pgx.Batch{}
	if err := s.queue(batch, c, new(bool)); err != nil {
		return err
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return wrap(err, "commit job %s", c.Job)
	}
	if err := tx.Commit(ctx); err != nil {
		return outcome(err, c.Job)
	}
	s.ring(c)
	return nil
}

func (s *Store) ring(c jobs.Commit) {
	s.bell.Changed(c.Job)
	if c.HandOver {
		s.bell.Rang()
	}
}

// outcome tells a refused commit from one that nobody knows about. The driver's SafeToRetry is of no use here: it
// says "conn closed", safe to retry, also when the connection broke while it waited for the reply.
func outcome(err error, job jobs.ID) error {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &connect):
		return wrap(err, "commit job %s", job)
	case errors.As(err, &pg) && pg.Code != "57P01" && pg.Code != "57P02" && pg.Code != "57P03":
		return wrap(err, "commit job %s", job)
	default:
		return fmt.Errorf("store: commit job %s: %w: %w", job, jobs.ErrUnknownOutcome, err)
	}
}

// queue appends the statements of c. Lock order: job_state, history, variables, waits and groups, mailbox.
func (s *Store) queue(b *pgx.Batch, c jobs.Commit, released *bool) error {
	if err := queueHead(b, c); err != nil {
		return err
	}
	queueColdRow(b, c)
	for _, w := range c.Variables {
		queueVariables(b, c.Job, w)
	}
	for _, u := range c.Usage {
		b.Queue(db.UsageInsert, c.Job, u.Seq, u.At, text(u.Provider), text(u.Model), u.Input, u.Cached, u.Output, u.Cost, u.Attempts)
	}
	for _, w := range c.Withdraw {
		s.Waits.QueueWithdraw(b, c.Job, w)
	}
	s.Waits.QueueRegister(b, c.Job, c.Waits...)
	for _, set := range c.Sets {
		s.Waits.QueueJoin(b, c.Job, set)
	}
	if len(c.Mail) > 0 {
		b.Queue(db.MailboxConsume, c.Job, c.Mail)
	}
	if n := repeats(c.Entries); n > 0 {
		b.Queue(db.CounterAdd, wastedReplies, n, "job "+c.Job.String())
	}
	switch {
	case c.HandOver:
		b.Queue(db.JobHandOver, c.Job, c.Epoch, c.Owner)
		b.Queue(db.Ring, []jobs.ID{c.Job}, false)
		*released = true
	case c.Release:
		b.Queue(db.JobRelease, c.Job, c.Epoch, c.Owner).QueryRow(func(row pgx.Row) error { return row.Scan(released) })
	}
	return nil
}

func queueHead(b *pgx.Batch, c jobs.Commit) error {
	n := len(c.Entries)
	kinds, payloads := make([]string, n), make([]string, n)
	cells, calls, ats := make([]int32, n), make([]int32, n), make([]time.Time, n)
	for i, e := range c.Entries {
		payload, err := jobs.Encode(e.Event)
		if err != nil {
			return err
		}
		kinds[i], payloads[i], ats[i] = e.Event.Kind(), string(payload), e.At
		cells[i], calls[i] = int32(e.Cell), int32(e.Call)
	}
	core, err := json.Marshal(c.State)
	if err != nil {
		return fmt.Errorf("store: encode job %s: %w", c.Job, err)
	}
	var wake *time.Time
	if at := c.State.Wake(); !at.IsZero() && (c.Release || c.HandOver) {
		wake = &at
	}
	b.Queue(db.JobAdvance, c.Job, c.Epoch, c.Owner, kinds, string(c.State.Status), textOrNull(string(c.State.Outcome)),
		string(core), textOrNull(c.BlockedOn), textOrNull(c.BlockedWhy), wake, cells, calls, ats, payloads)
	return nil
}

func queueColdRow(b *pgx.Batch, c jobs.Commit) {
	switch {
	case c.State.Status == jobs.Done:
		b.Queue(db.JobFinish, c.Job, textOrNull(string(c.State.Result)), textOrNull(c.State.Error))
		// A statement after the one that took this transaction's id: a waiter that it does not see settles later.
		b.Queue(db.JobMarkEnd, c.Job)
	case c.Reopened:
		b.Queue(db.JobReopen, c.Job)
	}
}

func queueVariables(b *pgx.Batch, job jobs.ID, v jobs.Workspace) {
	if len(v.Set)+len(v.Deleted) == 0 {
		return
	}
	names := make([]string, 0, len(v.Deleted)+len(v.Set))
	for _, name := range v.Deleted {
		names = append(names, text(name))
	}
	for _, set := range v.Set {
		names = append(names, text(set.Name))
	}
	b.Queue(db.VariablesClose, job, int32(v.Cell), names)
	n := len(v.Set)
	if n == 0 {
		return
	}
	set, values, types, refused := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, x := range v.Set {
		set[i], values[i], types[i], refused[i] = text(x.Name), string(x.Value), text(x.Type), text(x.Refused)
	}
	b.Queue(db.VariablesInsert, job, set, int32(v.Cell), values, types, refused)
}
