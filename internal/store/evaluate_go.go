package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/store/db"
	"statek/internal/temporal"
)

// Tx is what code of an embedding program may do in an evaluation: everything but end its transaction.
type Tx interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Waiter is whom a value is taken for.
type Waiter struct {
	Job        uuid.UUID
	Cell, Call int
	Prefix     string
}

// GoTemporal is a temporal of an embedding program. Both run in the evaluation's transaction, in a savepoint
// and as role statek_tool; an error takes back what they did and parks the group.
type GoTemporal interface {
	Ready(ctx context.Context, tx Tx, prefix string, args json.RawMessage) (bool, error)
	// Take claims a value for one waiter; false: there is none.
	Take(ctx context.Context, tx Tx, args json.RawMessage, who Waiter) (json.RawMessage, bool, error)
}

// known are the Go temporals of this process.
func (w *Waits) known() []string { return slices.AppendSeq([]string{}, maps.Keys(w.Go)) }

func (w *Waits) jitter() float64 {
	if w.Jitter == nil {
		return 0
	}
	return w.Jitter()
}

// goClaim is a temporal whose code is in this process.
type goClaim struct {
	*look
	code GoTemporal
}

func (l goClaim) begin(ctx context.Context) (ready bool, heads []head, err error) {
	ready, err = l.ready(ctx)
	if err != nil || !ready || l.eval.Err != "" {
		return false, nil, err
	}
	if err := l.askTold(ctx); err != nil {
		return false, nil, err
	}
	heads, err = l.heads(ctx, temporal.Definition{}, lookBatch)
	return true, heads, err
}

func (l goClaim) ready(ctx context.Context) (ready bool, err error) {
	done, err := l.call(ctx, func(ctx context.Context) (err error) {
		ready, err = l.code.Ready(ctx, limited{l.conn}, l.group.Prefix, l.group.Args)
		return err
	})
	if !done || err != nil {
		return false, err
	}
	_, err = l.conn.Exec(ctx, "release savepoint temporal")
	return ready, err
}

func (l goClaim) take(ctx context.Context, head head) (bool, error) {
	var value json.RawMessage
	var got bool
	who := Waiter{Job: head.JobID, Cell: int(head.Cell), Call: int(head.Call), Prefix: l.group.Prefix}
	done, err := l.call(ctx, func(ctx context.Context) (err error) {
		value, got, err = l.code.Take(ctx, limited{l.conn}, l.group.Args, who)
		if err == nil && got && !json.Valid(value) {
			err = fmt.Errorf("the complement returned what is not JSON: %q", brief(value))
		}
		return err
	})
	if !done || err != nil {
		return false, err
	}
	b := &pgx.Batch{}
	if got {
		b.Queue(db.WaitResolveValue, head.ID, string(value))
	}
	b.Queue("release savepoint temporal")
	err = l.conn.SendBatch(ctx, b).Close()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "22") || pg.Code == "54000") {
		return false, l.fault(ctx, "keep the complement's value: "+pg.Code+": "+sentence(pg))
	}
	return got, err
}

// codeGrace is how much longer than one statement the code of a temporal may take.
const codeGrace = time.Second

// call runs code of the program between the statements that bound it; false: it failed, which is in the
// evaluation, and what it did is taken back.
func (l goClaim) call(ctx context.Context, code func(context.Context) error) (bool, error) {
	if _, err := l.conn.Exec(ctx, "savepoint temporal; "+l.enter(), pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, err
	}
	bounded, cancel := context.WithTimeout(ctx, l.w.Timeout+codeGrace)
	defer cancel()
	err := guarded(bounded, code)
	if conn := l.conn.PgConn(); conn.IsClosed() || conn.IsBusy() {
		return false, unusable(err, bounded)
	}
	if err == nil {
		err = bounded.Err()
	}
	if err == nil {
		_, err = l.conn.Exec(ctx, leaveTool)
		return err == nil, err
	}
	if ctx.Err() != nil {
		return false, err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return false, l.blame(ctx, err)
	}
	return false, l.fault(ctx, err.Error())
}

// guarded turns a panic into an error.
func guarded(ctx context.Context, code func(context.Context) error) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v", x)
		}
	}()
	return code(ctx)
}

// limited hides what would end the transaction.
type limited struct{ tx Tx }

// Exec implements Tx.
func (t limited) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.tx.Exec(ctx, sql, args...)
}

// Query implements Tx.
func (t limited) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.tx.Query(ctx, sql, args...)
}

// QueryRow implements Tx.
func (t limited) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.tx.QueryRow(ctx, sql, args...)
}

// misuseError is code that has left its transaction unusable.
type misuseError struct{ err error }

// Error implements error.
func (e *misuseError) Error() string { return e.err.Error() }

func unusable(err error, bounded context.Context) error {
	return &misuseError{fmt.Errorf("it left its connection unusable (are all rows closed, and was it in time?): %w", errors.Join(err, bounded.Err()))}
}

// park records, in a transaction of its own, the failure of code that has left none to do it in. The checks
// that the lost look had taken out are due again, and stay with the parked group.
func (l *look) park(ctx context.Context, misuse *misuseError) (time.Duration, error) {
	l.eval.Err, l.eval.Served, l.eval.Transient = text(misuse.Error()), 0, false
	d := temporal.After(l.eval)
	now := l.w.now()
	retry, result := now.Add(d.Retry), string(d.State)
	return d.Retry, l.w.q.WaitGroupRecord(ctx, db.WaitGroupRecordParams{
		RetryAt: &retry, Attempts: int32(d.Attempts), Result: &result, Error: &l.eval.Err, Now: now, ID: l.group.ID,
	})
}

func brief(raw []byte) string { return string(raw[:min(len(raw), 60)]) }
