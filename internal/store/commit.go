package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/failpoint"
	"statek/internal/jobs"
	"statek/internal/store/db"
)

// Commit writes c in one transaction and one round trip, which it shares with commits of other jobs where it can. It
// reports whether the job was released: false after Release means that somebody rang and there is mail to read. Errors:
// jobs.ErrFenced, jobs.ErrUnknownOutcome, or what the server refused (then nothing was written).
func (s *Store) Commit(ctx context.Context, c jobs.Commit) (released bool, err error) {
	op := &commitOp{commit: c}
	err = errAlone
	if mergeable(c) {
		err = s.commits.do(ctx, op)
	}
	if errors.Is(err, errAlone) {
		err = s.commitAll(ctx, op)
	}
	if err != nil {
		return false, err
	}
	s.ring(c)
	return op.released, nil
}

// commitOp is a commit that may share a transaction with others.
type commitOp struct {
	commit   jobs.Commit
	released bool
}

// mergeable reports commits that lock nothing but what is their job's: waits and sets have groups in common, and two
// batches could want them in different orders.
func mergeable(c jobs.Commit) bool {
	return len(c.Waits)+len(c.Sets)+len(c.Withdraw) == 0 && !c.HandOver
}

// commitMany writes commits of different jobs in one transaction, in the order of their ids. When the server refuses
// one of them nothing is written, and each is tried alone.
func (s *Store) commitMany(ctx context.Context, items []*merged[*commitOp]) {
	slices.SortStableFunc(items, func(a, b *merged[*commitOp]) int { return bytes.Compare(a.op.commit.Job[:], b.op.commit.Job[:]) })
	var ops []*commitOp
	var sent []*merged[*commitOp]
	for _, it := range items {
		if n := len(ops); n > 0 && (ops[n-1].commit.Job == it.op.commit.Job || ops[n-1].commit.Owner != it.op.commit.Owner) {
			it.done(errAlone)
			continue
		}
		ops, sent = append(ops, it.op), append(sent, it)
	}
	err := s.commitAll(ctx, ops...)
	for _, it := range sent {
		it.done(apart(err, len(sent)))
	}
}

// apart is what the failure of a batch means for each of n operations in it.
func apart(err error, n int) error {
	if err == nil || n == 1 || errors.Is(err, jobs.ErrUnknownOutcome) {
		return err
	}
	return errAlone
}

// commitAll writes commits of different jobs and one owner: all or none.
func (s *Store) commitAll(ctx context.Context, ops ...*commitOp) error {
	b := &pgx.Batch{}
	if err := s.queue(b, ops...); err != nil {
		return err
	}
	show := s.queueViews(b, ops)
	// Outside an explicit transaction a pipelined batch with one Sync is one implicit transaction.
	err := outcome(s.pool.SendBatch(ctx, b).Close(), ops[0].commit.Job)
	if err == nil {
		show()
	}
	return err
}

// CommitIn writes c at the end of a transaction that already did something, and commits it. It reports what Commit does.
func (s *Store) CommitIn(ctx context.Context, tx pgx.Tx, c jobs.Commit) (released bool, err error) {
	b, op := &pgx.Batch{}, &commitOp{commit: c}
	if err := s.queue(b, op); err != nil {
		return false, err
	}
	show := s.queueViews(b, []*commitOp{op})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return false, wrap(err, "commit job %s", c.Job)
	}
	s.failpoints.Job(failpoint.TxRecorded, c.Job)
	if err := tx.Commit(ctx); err != nil {
		return false, outcome(err, c.Job)
	}
	show()
	s.ring(c)
	return op.released, nil
}

func (s *Store) ring(c jobs.Commit) {
	s.bell.Changed(c.Job, c.State.Status.AtRest())
	if c.HandOver {
		s.bell.Rang()
	}
}

// outcome tells a refused commit from one that nobody knows about. The driver's SafeToRetry is of no use here: it
// says "conn closed", safe to retry, also when the connection broke while it waited for the reply.
func outcome(err error, job jobs.ID) error {
	if err == nil {
		return nil
	}
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

// queue appends the statements of commits of different jobs. Lock order: job_state, history, variables, mailbox, waits
// and groups.
func (s *Store) queue(b *pgx.Batch, list ...*commitOp) error {
	if err := queueHeads(b, list); err != nil {
		return err
	}
	for _, op := range list {
		c := op.commit
		if !plain(c.Variables) {
			for _, w := range c.Variables {
				queueVariables(b, c.Job, w)
			}
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
		if n := repeats(c.Entries); n > 0 {
			b.Queue(db.CounterAdd, wastedReplies, n, "job "+c.Job.String())
		}
	}
	return nil
}

// plain reports variables that are all new: they need no row closed before theirs.
func plain(list []jobs.Workspace) bool {
	return len(list) == 1 && len(list[0].Deleted)+len(list[0].Replaced) == 0
}

func queueVariables(b *pgx.Batch, job jobs.ID, v jobs.Workspace) {
	if len(v.Set)+len(v.Deleted) == 0 {
		return
	}
	if over := slices.Concat(v.Deleted, v.Replaced); len(over) > 0 {
		for i, name := range over {
			over[i] = text(name)
		}
		b.Queue(db.VariablesClose, job, int32(v.Cell), over)
	}
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
