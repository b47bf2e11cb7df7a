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

// batchPatience bounds each statement of calls that share a transaction. One that needs longer, or waits for a lock,
// is done alone.
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
	patience := ops[0].call.Timeout
	if len(ops) > 1 {
		patience = batchPatience
	}
	err := s.runQuick(ctx, ops, patience)
	for _, it := range sent {
		it.done(apart(err, 2)) // alone it is tried the other ways too
	}
}

func (op *toolOp) job() string { return op.call.Builtins["job_id"] }

// runQuick performs calls and commits them with their records, in two round trips and one transaction. After an
// error nothing has happened, unless it is jobs.ErrUnknownOutcome.
func (s *Store) runQuick(ctx context.Context, ops []*toolOp, timeout time.Duration) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return wrap(err, "begin the transaction of a call")
	}
	defer conn.Release()
	ended := func(_ bool, err error) {
		for _, op := range ops {
			op.end(err)
		}
		if err != nil {
			rollback(ctx, conn)
		}
	}
	return concluded(ended, func() (bool, error) { return false, s.commitQuick(ctx, conn, ops, timeout) })
}

func (s *Store) commitQuick(ctx context.Context, conn *pgxpool.Conn, ops []*toolOp, timeout time.Duration) error {
	if err := performQuick(ctx, conn, ops, timeout); err != nil {
		return fmt.Errorf("store: run tool: %w", err) // not wrap: what a tool raises is never the fence
	}
	if err := settleAll(ops); err != nil {
		return err
	}
	b := &pgx.Batch{}
	commits := make([]*commitOp, len(ops))
	for i, op := range ops {
		commits[i] = &op.commit
	}
	if err := s.queue(b, commits...); err != nil {
		return err
	}
	show := s.queueViews(b, commits)
	b.Queue("commit")
	if err := outcome(conn.SendBatch(ctx, b).Close(), commits[0].commit.Job); err != nil {
		return err
	}
	show()
	for _, c := range commits {
		s.ring(c.commit)
	}
	return nil
}

// settleAll makes the records of calls, at once: each may wait a moment for its job's code.
func settleAll(ops []*toolOp) error {
	errs := make([]error, len(ops))
	settle := func(i int) {
		op := ops[i]
		op.commit.commit, op.ended, errs[i] = op.settle(op.value, nil)
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
	b.Queue("begin")
	b.Queue("select set_config('role', 'statek_tool', true), set_config('statement_timeout', $1, true), set_config('plan_cache_mode', 'auto', true)", fmt.Sprintf("%dms", timeout.Milliseconds()))
	for _, op := range ops {
		b.Queue(asJSON(op.call.SQLCall), op.values...).Query(func(rows pgx.Rows) (err error) {
			op.value, err = collect(op.call.SQLCall, rows)
			return err
		})
	}
	b.Queue("select set_config('role', 'none', true), set_config('statement_timeout', '0', true), set_config('plan_cache_mode', 'force_generic_plan', true)")
	return conn.SendBatch(ctx, b).Close()
}

// rollback ends a transaction that failed. A connection on which that is not possible is thrown away by the pool.
func rollback(ctx context.Context, conn *pgxpool.Conn) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if c := conn.Conn(); !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
		_, _ = c.Exec(bounded, "rollback")
	}
}
