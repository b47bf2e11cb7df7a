package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/sqldef"
	"statek/internal/store/db"
	"statek/internal/temporal"
)

// sqlClaim is a temporal in SQL.
type sqlClaim struct {
	*look
	def temporal.Definition
}

// begin asks the condition: its first column is neither null nor false. When a write led here it locks the first waiters
// in the same round trip, since the condition is likely to hold; a sweep has to ask something in between.
func (l sqlClaim) begin(ctx context.Context) (ready bool, heads []head, err error) {
	hopeful := l.group.Marks > 0 && !l.sweeping
	var and func(*pgconn.Batch) error
	if hopeful {
		and = func(b *pgconn.Batch) error { return l.queueHeads(ctx, b, l.def, lookBatch) }
	}
	res, more, err := l.statement(ctx, l.def.Condition, nil, true, and)
	if err != nil || !holds(res) {
		return false, nil, err
	}
	if hopeful {
		heads, err = readHeads(more)
		return true, heads, err
	}
	if err := l.askTold(ctx); err != nil {
		return false, nil, err
	}
	heads, err = l.heads(ctx, l.def, lookBatch)
	return true, heads, err
}

func (l sqlClaim) ready(ctx context.Context) (bool, error) {
	res, _, err := l.statement(ctx, l.def.Condition, nil, true, nil)
	return holds(res), err
}

func holds(res *pgconn.Result) bool {
	if res == nil || len(res.Rows) == 0 || len(res.Rows[0]) == 0 {
		return false
	}
	const boolean = 16
	value := res.Rows[0][0]
	isFalse := res.FieldDescriptions[0].DataTypeOID == boolean && string(value) == "f"
	return value != nil && !isFalse
}

// take runs the complement for one waiter; false means that there was no row.
func (l sqlClaim) take(ctx context.Context, h head) (bool, error) {
	own := map[string]string{"job_id": h.JobID.String(), "prefix": l.group.Prefix}
	if err := l.resolve(ctx); err != nil || l.eval.Err != "" {
		return false, err
	}
	res, _, err := l.statement(ctx, l.def.Complement, own, false, nil)
	if err != nil || res == nil {
		return false, err
	}
	switch {
	case len(res.Rows) == 0 && res.CommandTag.RowsAffected() > 0:
		return false, l.fault(ctx, "the complement returns no columns: end it with returning …")
	case len(res.Rows) > 1:
		return false, l.fault(ctx, fmt.Sprintf("the complement took %d rows for one waiter: it must take at most one", len(res.Rows)))
	case len(res.Rows) == 0:
		_, err := l.conn.Exec(ctx, "release savepoint temporal")
		return false, err
	}
	value := resultRow(res)
	l.last = &pgx.Batch{}
	l.last.Queue(db.WaitResolveClaim, h.ID, value.names, value.types, value.texts)
	l.last.Queue("release savepoint temporal").Exec(func(pgconn.CommandTag) error {
		l.last = nil
		return nil
	})
	return true, nil
}

// resolve ends the wait of the waiter that was served last.
func (l *look) resolve(ctx context.Context) error {
	if l.last == nil {
		return nil
	}
	err := l.conn.SendBatch(ctx, l.last).Close()
	if err == nil || l.last == nil {
		return err
	}
	l.last = nil
	l.eval.Served--
	return l.unkept(ctx, err)
}

// resolving returns the statements that do that, for others to be added.
func (l *look) resolving() *pgx.Batch {
	if l.last == nil {
		return &pgx.Batch{}
	}
	return l.last
}

// unkept puts it into the evaluation that a complement's row could not be kept. What is not its fault is returned.
func (l *look) unkept(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code[:2] != "57" {
		return l.fault(ctx, "keep the complement's row: "+pg.Code+": "+sentence(pg))
	}
	return err
}

// statement runs one statement of the temporal as role statek_tool, in a savepoint, which it releases only when
// told to; and, in the same round trip, what and appends. Its failure is put into the evaluation, and the results are nil
// then; an error means that the transaction is lost. Values travel as text both ways, so numbers stay exact.
func (l sqlClaim) statement(ctx context.Context, st sqldef.Statement, own map[string]string, release bool, and func(*pgconn.Batch) error) (res, more *pgconn.Result, err error) {
	values, err := temporal.Bind(st, l.def.Params, l.group.Args, own)
	if err != nil {
		l.eval.Err = err.Error()
		return nil, nil, nil
	}
	name, err := l.keep(ctx, st)
	if err != nil || l.eval.Err != "" {
		return nil, nil, err
	}
	res, more, err = l.send(ctx, name, st.SQL, values, release, and)
	if err != nil && name != "" && outdated(err) {
		if err := l.takeBack(ctx); err != nil {
			return nil, nil, err
		}
		unprepare(ctx, l.conn)
		res, more, err = l.send(ctx, "", st.SQL, values, release, and)
	}
	if err != nil {
		return nil, nil, l.blame(ctx, err)
	}
	return res, more, nil
}

// keep returns the name under which the connection keeps a statement from its first use on; empty: it does not. One that
// cannot be read is the temporal's failure.
func (l sqlClaim) keep(ctx context.Context, st sqldef.Statement) (name string, err error) {
	name, kept := nameOf(l.conn, st)
	if name == "" || kept[name] {
		return name, nil
	}
	if _, err := l.conn.Exec(ctx, "savepoint temporal"); err != nil {
		return "", err
	}
	if _, err := prepare(ctx, l.conn, st); err != nil {
		return "", l.blame(ctx, err)
	}
	_, err = l.conn.Exec(ctx, "release savepoint temporal")
	return name, err
}

// send sends it, with what surrounds it.
func (l sqlClaim) send(ctx context.Context, name, sql string, values [][]byte, release bool, and func(*pgconn.Batch) error) (res, more *pgconn.Result, err error) {
	b := &pgconn.Batch{}
	b.ExecParams("savepoint temporal", nil, nil, nil, nil)
	err = queueOurs(ctx, l.conn, b, l.enter())
	if name != "" {
		b.ExecPrepared(name, values, nil, nil)
	} else {
		b.ExecParams(sql, values, nil, nil, nil)
	}
	err = errors.Join(err, queueOurs(ctx, l.conn, b, leaveTool))
	if release {
		b.ExecParams("release savepoint temporal", nil, nil, nil, nil)
	}
	if and != nil {
		err = errors.Join(err, and(b))
	}
	if err != nil {
		return nil, nil, err
	}
	results, err := l.conn.PgConn().ExecBatch(ctx, b).ReadAll()
	if err != nil {
		return nil, nil, err
	}
	return results[2], results[len(results)-1], nil
}
