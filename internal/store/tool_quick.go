package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// toolOp is one call of an SQL tool.
type toolOp struct {
	call   agents.SQLRun
	values []any
	settle Settle
	value  json.RawMessage
	fault  *jobs.Fault // it was done, and code cannot be given what it has returned
	commit commitOp
	ended  jobs.Ended // set while the commit is handed out
}

// end tells how the commit ended, if it was handed out.
func (op *toolOp) end(err error) {
	if op.ended != nil {
		op.ended(err == nil && op.commit.released, err)
		op.ended = nil
	}
}

// batchPatience bounds each statement of calls that share a transaction, also of one that nobody has joined: those of other jobs come
// while it is on its way, and wait. One that needs longer, or waits for a lock, is done alone.
const batchPatience = 500 * time.Millisecond

// toolMany performs the calls of different jobs in one transaction. The order of jobs is that of their ids: two batches
// take the locks of runs and of rows in the same order.
func (s *Store) toolMany(ctx context.Context, items []*merged[*toolOp]) {
	slices.SortStableFunc(items, func(a, b *merged[*toolOp]) int { return strings.Compare(a.op.job(), b.op.job()) })
	var ops []*toolOp
	var sent []*merged[*toolOp]
	for i, it := range items {
		if i > 0 && it.op.job() == items[i-1].op.job() {
			it.done(errAlone) // a run has one commit at a time
			continue
		}
		ops, sent = append(ops, it.op), append(sent, it)
	}
	err := s.runQuick(ctx, ops, min(ops[0].call.Timeout, batchPatience))
	for _, it := range sent {
		it.done(apart(err, 2)) // alone it is tried the other ways too
	}
}

func (op *toolOp) job() string { return op.call.Builtins["job_id"] }

// runQuick performs calls and commits them with their records, in two round trips and one transaction; a call that was begun with the
// commit of the one before takes one. After an error nothing has happened, unless it is jobs.ErrUnknownOutcome.
func (s *Store) runQuick(ctx context.Context, ops []*toolOp, timeout time.Duration) error {
	b, _ := ops[0].call.Begun.(*begun)
	if conn := b.take(); conn != nil {
		ops[0].value, ops[0].fault = b.op.value, b.op.fault
		return s.conclude(ctx, conn, ops, func() error { return nil })
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return wrap(err, "begin the transaction of a call")
	}
	return s.conclude(ctx, conn, ops, func() error { return performQuick(ctx, conn, ops, timeout) })
}

// conclude performs the calls of a transaction, records and commits them, and lets the connection go unless the next call has it.
func (s *Store) conclude(ctx context.Context, conn *pgxpool.Conn, ops []*toolOp, perform func() error) error {
	var next *begun
	ended := func(_ bool, err error) {
		for _, op := range ops {
			op.end(err)
		}
		if next == nil {
			rollback(ctx, conn)
			conn.Release()
		}
	}
	return concluded(ended, func() (_ bool, err error) {
		if err := perform(); err != nil {
			return false, fmt.Errorf("store: run tool: %w", err) // not wrap: what a tool raises is never the fence
		}
		next, err = s.commitQuick(ctx, conn, ops)
		return false, err
	})
}

// commitQuick records the calls and commits, and begins with what follows. The next call has the connection when it is not nil.
func (s *Store) commitQuick(ctx context.Context, conn *pgxpool.Conn, ops []*toolOp) (next *begun, err error) {
	if err := settleAll(ops); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // nothing is sent, and that is known
		return nil, context.Cause(ctx)
	}
	b := &pgx.Batch{}
	commits := make([]*commitOp, len(ops))
	for i, op := range ops {
		commits[i] = &op.commit
	}
	if err := s.queue(b, commits...); err != nil {
		return nil, err
	}
	show, done := s.queueViews(b, commits), false
	b.Queue("commit").Exec(func(pgconn.CommandTag) error { done = true; return nil })
	following := s.queueNext(b, conn, ops[0])
	defer func() {
		if next == nil { // whatever has happened, a panic of the driver included
			following.forget()
		}
	}()
	err = send(ctx, conn, b)
	if err != nil && !done {
		return nil, outcome(err, commits[0].commit.Job)
	}
	show()
	for _, c := range commits {
		s.ring(c.commit)
	}
	if err == nil && following != nil {
		next, ops[0].call.Chain.Begun = following, following
	}
	return next, nil
}

// settleAll makes the records of calls, at once: each may wait a moment for its job's code.
func settleAll(ops []*toolOp) error {
	errs := make([]error, len(ops))
	settle := func(i int) {
		op := ops[i]
		op.commit.commit, op.ended, errs[i] = op.settle(op.value, op.fault)
	}
	var others sync.WaitGroup
	for i := range ops[1:] {
		others.Go(func() { settle(i + 1) })
	}
	settle(0)
	others.Wait()
	return errors.Join(errs...)
}

// performQuick begins a transaction and runs the statements, in one round trip.
func performQuick(ctx context.Context, conn *pgxpool.Conn, ops []*toolOp, timeout time.Duration) error {
	b := &pgx.Batch{}
	queueCalls(b, conn, ops, timeout)
	return send(ctx, conn, b)
}

// queueCalls begins a transaction and runs the statements as the tools' role. Then that role ends for the session, and with it every
// lock of the session: a function that was called may have taken them for longer than the transaction.
func queueCalls(b *pgx.Batch, conn *pgxpool.Conn, ops []*toolOp, timeout time.Duration) {
	quick, began := quickOn(conn.Conn()), time.Now() //nolint:forbidigo // how long the server takes is nobody's clock
	b.Queue("begin")
	b.Queue("select set_config('role', 'statek_tool', true), set_config('statement_timeout', $1, true), set_config('plan_cache_mode', 'auto', true)", fmt.Sprintf("%dms", timeout.Milliseconds()))
	for _, op := range ops {
		sql := asJSON(op.call.SQLCall)
		b.Queue(sql, op.values...).Query(func(rows pgx.Rows) (err error) {
			op.value, op.fault, err = collect(op.call, rows)
			quick.note(sql, time.Since(began)) //nolint:forbidigo // the same
			return err
		})
	}
	b.Queue("select set_config('role', null, false), set_config('statement_timeout', '0', true), set_config('plan_cache_mode', 'force_generic_plan', true), pg_advisory_unlock_all()")
}

// rollback ends a transaction that failed. A connection on which that is not possible is thrown away by the pool.
func rollback(ctx context.Context, conn *pgxpool.Conn) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if c := conn.Conn(); !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
		_, _ = c.Exec(bounded, "rollback")
	}
}
