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

func (l sqlClaim) definition() temporal.Definition { return l.def }

// ready asks the condition: its first column is neither null nor false.
func (l sqlClaim) ready(ctx context.Context) (bool, error) {
	res, err := l.statement(ctx, l.def.Condition, nil, true)
	if err != nil || res == nil || len(res.Rows) == 0 || len(res.Rows[0]) == 0 {
		return false, err
	}
	const boolean = 16
	value := res.Rows[0][0]
	isFalse := res.FieldDescriptions[0].DataTypeOID == boolean && string(value) == "f"
	return value != nil && !isFalse, nil
}

// take runs the complement for one waiter; false means that there was no row.
func (l sqlClaim) take(ctx context.Context, head db.WaitHeadsRow) (bool, error) {
	own := map[string]string{"job_id": head.JobID.String(), "prefix": l.group.Prefix}
	res, err := l.statement(ctx, l.def.Complement, own, false)
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
	b.Queue(db.WaitResolveRow, head.ID, names, types, texts)
	b.Queue("release savepoint temporal")
	err = l.tx.SendBatch(ctx, b).Close()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code[:2] != "57" {
		return false, l.fault(ctx, "keep the complement's row: "+pg.Code+": "+sentence(pg))
	}
	if err != nil {
		return false, err
	}
	return true, nil
}

// statement runs one statement of the temporal as role statek_tool, in a savepoint, which it releases only when
// told to. Its failure is put into the evaluation, and the result is nil then; an error means that the
// transaction is lost. Values travel as text both ways, so numbers stay exact.
func (l sqlClaim) statement(ctx context.Context, st sqldef.Statement, own map[string]string, release bool) (*pgconn.Result, error) {
	values, err := temporal.Bind(st, l.def.Params, l.group.Args, own)
	if err != nil {
		l.eval.Err = err.Error()
		return nil, nil //nolint:nilnil // documented: the failure is in the evaluation
	}
	b := &pgconn.Batch{}
	do := func(sql string) { b.ExecParams(sql, nil, nil, nil, nil) }
	enter := l.enter()
	for _, sql := range enter {
		do(sql)
	}
	b.ExecParams(st.SQL, values, nil, nil, nil)
	for _, sql := range leaveTool {
		do(sql)
	}
	if release {
		do("release savepoint temporal")
	}
	results, err := l.tx.Conn().PgConn().ExecBatch(ctx, b).ReadAll()
	if err == nil {
		return results[len(enter)], nil
	}
	return nil, l.blame(ctx, err)
}
