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

// serveSQL asks the condition once, and while it holds gives waiters, first come first served, what the
// complement takes for them. A waiter's row is locked before its value is claimed, and is deleted together
// with the claim, the mail and the ring.
func (l *look) serveSQL(ctx context.Context, def temporal.Definition) error {
	ready, err := l.ready(ctx, def)
	if err != nil || !ready || l.eval.Err != "" {
		return err
	}
	if err := l.askTold(ctx); err != nil {
		return err
	}
	if err := l.woke(ctx, def); err != nil {
		return err
	}
	heads, err := l.q.WaitHeads(ctx, db.WaitHeadsParams{GroupID: &l.group.ID, Most: lookBatch})
	if err != nil {
		return err
	}
	for _, head := range heads {
		got, err := l.complement(ctx, def, head)
		if err != nil || l.eval.Err != "" {
			return err
		}
		if !got {
			// Taken by others, or locked by others who may give it back: the plain condition knows.
			l.eval.Ready, err = l.ready(ctx, def)
			return err
		}
	}
	switch {
	case len(heads) == 0 || len(heads) < int(heads[0].Heads):
		l.eval.Ready = true // a waiter was skipped; its holder may roll back
	case len(heads) == lookBatch:
		l.eval.Full = true
	}
	return nil
}

// ready asks the condition: its first column is neither null nor false.
func (l *look) ready(ctx context.Context, def temporal.Definition) (bool, error) {
	res, err := l.tool(ctx, def, def.Condition, nil, true)
	if err != nil || res == nil || len(res.Rows) == 0 || len(res.Rows[0]) == 0 {
		return false, err
	}
	const boolean = 16
	value := res.Rows[0][0]
	isFalse := res.FieldDescriptions[0].DataTypeOID == boolean && string(value) == "f"
	return value != nil && !isFalse, nil
}

// complement takes a value for one waiter; false means that there was none.
func (l *look) complement(ctx context.Context, def temporal.Definition, head db.WaitHeadsRow) (bool, error) {
	own := map[string]string{"job_id": head.JobID.String(), "prefix": l.group.Prefix}
	res, err := l.tool(ctx, def, def.Complement, own, false)
	if err != nil || res == nil {
		return false, err
	}
	switch {
	case len(res.Rows) == 0 && res.CommandTag.RowsAffected() > 0:
		return false, l.fault(ctx, "the complement returns no columns: end it with returning …")
	case len(res.Rows) > 1:
		return false, l.fault(ctx, fmt.Sprintf("the complement took %d rows for one waiter: it must take at most one", len(res.Rows)))
	case len(res.Rows) == 0:
		_, err := l.tx.Exec(ctx, "release savepoint temporal")
		return false, err
	}
	names := make([]string, len(res.FieldDescriptions))
	types := make([]uint32, len(names))
	texts := make([]*string, len(names))
	for i, f := range res.FieldDescriptions {
		names[i], types[i] = f.Name, f.DataTypeOID
		if v := res.Rows[0][i]; v != nil {
			s := string(v)
			texts[i] = &s
		}
	}
	b := &pgx.Batch{}
	b.Queue(db.WaitResolve, names, types, texts, head.ID)
	b.Queue("release savepoint temporal")
	err = l.tx.SendBatch(ctx, b).Close()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code[:2] != "57" {
		return false, l.fault(ctx, "keep the complement's row: "+pg.Code+": "+sentence(pg))
	}
	if err != nil {
		return false, err
	}
	l.eval.Served++
	l.rung = append(l.rung, head.JobID)
	return true, nil
}

// tool runs one statement of a temporal as role statek_tool, in a savepoint, which it releases only when
// told to. Its failure is put into the evaluation, and the result is nil then; an error means that the
// transaction is lost. Values travel as text both ways, so numbers stay exact.
func (l *look) tool(ctx context.Context, def temporal.Definition, st sqldef.Statement, own map[string]string, release bool) (*pgconn.Result, error) {
	values, err := temporal.Bind(st, def.Params, l.group.Args, own)
	if err != nil {
		l.eval.Err = err.Error()
		return nil, nil //nolint:nilnil // documented: the failure is in the evaluation
	}
	b := &pgconn.Batch{}
	do := func(sql string) { b.ExecParams(sql, nil, nil, nil, nil) }
	do("savepoint temporal")
	do("set local role statek_tool")
	do(fmt.Sprintf("set local statement_timeout = %d", l.w.Timeout.Milliseconds()))
	do(fmt.Sprintf("set local lock_timeout = %d", l.w.Timeout.Milliseconds()/5))
	b.ExecParams(st.SQL, values, nil, nil, nil)
	do("reset role")
	do("set local statement_timeout to default")
	do("set local lock_timeout to default")
	if release {
		do("release savepoint temporal")
	}
	const place = 4
	results, err := l.tx.Conn().PgConn().ExecBatch(ctx, b).ReadAll()
	if err == nil {
		return results[place], nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code[:2] == "57" && pg.Code != "57014" || ctx.Err() != nil {
		return nil, err
	}
	l.eval.Transient = pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03"
	return nil, l.fault(ctx, pg.Code+": "+sentence(pg))
}

// fault records the temporal's failure and takes back what its statement did.
func (l *look) fault(ctx context.Context, message string) error {
	l.eval.Err = text(message)
	if len(l.eval.Err) > 1000 {
		l.eval.Err = l.eval.Err[:1000]
	}
	// Simple protocol: nothing can be prepared in a failed transaction. Role and timeouts go back with it.
	_, err := l.tx.Exec(ctx, "rollback to savepoint temporal; release savepoint temporal", pgx.QueryExecModeSimpleProtocol)
	return err
}
