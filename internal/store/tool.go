package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/sqldef"
	"statek/internal/temporal"
)

// RunTool performs an SQL tool and commits what settle makes of its result, in one transaction. The statement runs as
// role statek_tool, and the fence comes last, so a slow tool holds no lock on the job. Its failure is a result like
// any other.
//
// It is tried the quick way first, which is the whole answer unless something fails: then nothing has happened, and
// it is done again step by step, in a savepoint, so that the failure is known to be the statement's own.
//
// settle may be called again after its commit has failed. An error of settle rolls everything back.
func (s *Store) RunTool(ctx context.Context, call agents.SQLRun, settle Settle) error {
	if call.Begun != nil {
		defer call.Begun.Discard() // if nothing has taken it
	}
	values, err := bind(call)
	if err != nil {
		return s.fault(ctx, &jobs.Fault{Name: "TypeError", Message: err.Error()}, settle)
	}
	op := &toolOp{call: call, values: values, settle: settle}
	if call.Batch {
		if err := s.tools.do(ctx, op); !errors.Is(err, errAlone) {
			return err
		}
		// A whole batch may have come apart: it must not take all connections, of which its runs need some.
		select {
		case s.alone <- struct{}{}:
			defer func() { <-s.alone }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err = s.runQuick(ctx, []*toolOp{op}, call.Timeout)
	var pg *pgconn.PgError
	switch {
	case !errors.As(err, &pg) || retryable(pg):
		return err
	case pg.Code == "57014" || pg.Code == "55P03": // it has waited long enough
		return s.fault(ctx, sqlFault(pg), settle)
	}
	return s.recorded(ctx, func(tx pgx.Tx) (json.RawMessage, *jobs.Fault, error) { return runStatement(ctx, tx, call, values) }, settle)
}

// fault records a failure that has left nothing in the database.
func (s *Store) fault(ctx context.Context, f *jobs.Fault, settle Settle) error {
	commit, ended, err := settle(nil, f)
	if err != nil {
		return err
	}
	return concluded(ended, func() (bool, error) { return s.Commit(ctx, commit) })
}

// concluded tells how a commit has ended: after a panic in it nobody knows.
func concluded(ended jobs.Ended, commit func() (released bool, err error)) (err error) {
	released, err := false, fmt.Errorf("store: %w: a panic", jobs.ErrUnknownOutcome)
	defer func() { ended(released, err) }()
	released, err = commit()
	return err
}

// Settle is called with a value or a fault, and returns the commit and a function that is told how it ended.
type Settle = func(value json.RawMessage, fault *jobs.Fault) (jobs.Commit, jobs.Ended, error)

// recorded does something and commits it with its record.
func (s *Store) recorded(ctx context.Context, do func(pgx.Tx) (json.RawMessage, *jobs.Fault, error), settle Settle) error {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{})
	if err != nil {
		return wrap(err, "begin the transaction of a call")
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	value, fault, err := do(tx)
	if err != nil {
		return err
	}
	commit, ended, err := settle(value, fault)
	if err != nil {
		return err
	}
	return concluded(ended, func() (bool, error) { return s.CommitIn(ctx, tx, commit) })
}

// runStatement returns the tool's value, or its failure as a fault; an error means that the transaction is
// lost and the call may be repeated.
func runStatement(ctx context.Context, tx pgx.Tx, call agents.SQLRun, values []any) (json.RawMessage, *jobs.Fault, error) {
	if err := enterTool(ctx, tx, call.Timeout); err != nil {
		return nil, nil, err
	}
	value, fault, err := query(ctx, tx, call, values)
	if err == nil {
		err = leave(ctx, tx, asDone)
	}
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return value, fault, nil
	case errors.As(err, &pg) && retryable(pg):
		return nil, nil, wrap(err, "run tool")
	case errors.As(err, &pg):
		return nil, sqlFault(pg), wrap(leave(ctx, tx, "rollback to savepoint tool"), "leave tool")
	default:
		return nil, nil, wrap(err, "run tool")
	}
}

// asDone ends the savepoint of a statement that has succeeded. Constraints that wait for COMMIT are checked before, as the role that would
// check them there: what they refuse is what the statement has done, and not the record of it.
const asDone = "reset role; set constraints all immediate; release savepoint tool"

func enterTool(ctx context.Context, tx pgx.Tx, timeout time.Duration) error {
	enter := &pgx.Batch{}
	enter.Queue("savepoint tool")
	enter.Queue("set local role statek_tool")
	enter.Queue("select set_config('plan_cache_mode', 'auto', true), set_config('statement_timeout', $1, true)", fmt.Sprintf("%dms", timeout.Milliseconds()))
	return wrap(tx.SendBatch(ctx, enter).Close(), "enter tool")
}

// bind lists the parameters as texts; Postgres reads them by the casts in the statement.
func bind(call agents.SQLRun) ([]any, error) {
	args, err := json.Marshal(call.Values)
	if err != nil {
		return nil, fmt.Errorf("store: read arguments: %w", err)
	}
	st := sqldef.Statement{SQL: call.Text, Args: call.Args}
	texts, err := temporal.Bind(st, call.Params, args, call.Builtins)
	if err != nil {
		return nil, err
	}
	values := make([]any, len(texts))
	for i, t := range texts {
		if t != nil {
			values[i] = text(string(t))
		}
	}
	return values, nil
}

// leave ends the savepoint, drops the tool's role, its timeout and the session's locks. It uses the simple protocol: in an aborted
// transaction nothing can be prepared.
func leave(ctx context.Context, tx pgx.Tx, how string) error {
	return tx.Conn().PgConn().Exec(ctx, how+"; reset role; set local statement_timeout = 0; select pg_advisory_unlock_all()").Close()
}

// retryable reports failures that come from concurrency, not from the statement.
func retryable(pg *pgconn.PgError) bool {
	return pg.Code == "40001" || pg.Code == "40P01" || pg.Code[:2] == "57" && pg.Code != "57014"
}

// sqlFault is what code is told of a refused statement.
func sqlFault(pg *pgconn.PgError) *jobs.Fault {
	return &jobs.Fault{Name: "SQLError", Code: pg.Code, Message: sentence(pg)}
}

func sentence(pg *pgconn.PgError) string {
	msg := pg.Message
	if pg.Detail != "" {
		msg += " (" + pg.Detail + ")"
	}
	if pg.Hint != "" {
		msg += ". Hint: " + pg.Hint
	}
	return msg
}
