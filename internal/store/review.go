package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Review is what Postgres says about a statement of a definition, before anybody runs it.
type Review struct {
	// Fault is why it cannot run as role statek_tool; empty: it can. FaultLine counts lines of the statement from 0.
	Fault     string
	FaultLine int
	// Columns that it returns, and how many rows the planner expects.
	Columns []string
	Rows    float64
	// Reads are the tables it reads, those behind views included; a partition goes by its root.
	Reads []string
	// Writes and Locks say that it changes or locks rows.
	Writes, Locks bool
}

// Review prepares and plans statements as role statek_tool, and takes everything back.
func (s *Store) Review(ctx context.Context, statements []string) ([]Review, error) {
	// A connection of its own: prepared statements outlive transactions, and are gone with it.
	conn, err := Dial(ctx, s.pool)
	if err != nil {
		return nil, wrap(err, "review statements")
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	v := reviewer{conn: conn}
	if err := v.do(ctx, "begin; set local plan_cache_mode = force_generic_plan; set local lock_timeout = '5s'"); err != nil {
		return nil, wrap(err, "review statements")
	}
	list := make([]Review, len(statements))
	for i, sql := range statements {
		if list[i], err = v.review(ctx, sql); err != nil {
			return nil, wrap(err, "review a statement")
		}
	}
	return list, nil
}

type reviewer struct {
	conn     *pgx.Conn
	prepared int
}

func (v *reviewer) do(ctx context.Context, sql string) error {
	return v.conn.PgConn().Exec(ctx, sql).Close()
}

func (v *reviewer) review(ctx context.Context, sql string) (Review, error) {
	columns, top, err := v.plan(ctx, "set local role statek_tool", sql)
	var pg *pgconn.PgError
	if err != nil && (!errors.As(err, &pg) || pg.Code[:2] == "57" || pg.Code[:2] == "08") {
		return Review{}, err
	}
	if pg != nil && pg.Code[:2] == "22" && columns != nil { // the planner worked out a constant; that is for the run to meet
		return Review{Columns: columns}, nil
	}
	if pg != nil {
		r := Review{Fault: pg.Message, FaultLine: lineAt(sql, int(pg.Position)-1)}
		if pg.Hint != "" {
			r.Fault += " (" + pg.Hint + ")"
		}
		if pg.Code == "42501" { // insufficient_privilege
			grants, err := v.missingGrants(ctx, sql)
			if err != nil {
				return Review{}, err
			}
			r.Fault += grants
		}
		return r, nil
	}
	r := Review{Columns: columns, Rows: top.Rows}
	top.walk(false, func(n node, _ bool) {
		r.Writes = r.Writes || n.Type == "ModifyTable"
		r.Locks = r.Locks || n.Type == "LockRows"
	})
	uses, err := v.uses(ctx, top)
	for _, u := range uses {
		if slices.Contains(u.Ops, "select") {
			r.Reads = append(r.Reads, u.Name)
		}
	}
	return r, err
}

// lineAt counts the line breaks before a character.
func lineAt(sql string, at int) int {
	runes := []rune(sql)
	return strings.Count(string(runes[:max(0, min(at, len(runes)))]), "\n")
}

// node is a node of a plan, as EXPLAIN (format json) writes it.
type node struct {
	Type     string  `json:"Node Type"`
	Op       string  `json:"Operation"`
	Schema   string  `json:"Schema"`
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Plan Rows"`
	Plans    []node  `json:"Plans"`
}

func (n node) walk(locked bool, visit func(n node, locked bool)) {
	visit(n, locked)
	for _, child := range n.Plans {
		child.walk(locked || n.Type == "LockRows", visit)
	}
}

// plan prepares a statement and asks for its plan, whatever the parameters are; that checks all rights on tables.
func (v *reviewer) plan(ctx context.Context, role, sql string) (columns []string, top node, err error) {
	if err := v.do(ctx, "savepoint review; "+role); err != nil {
		return nil, node{}, err
	}
	defer func() { err = errors.Join(err, v.do(ctx, "rollback to savepoint review")) }()
	v.prepared++
	name := fmt.Sprintf("review_%d", v.prepared)
	description, err := v.conn.PgConn().Prepare(ctx, name, sql, nil)
	if err != nil {
		return nil, node{}, err
	}
	columns = []string{}
	for _, f := range description.Fields {
		columns = append(columns, f.Name)
	}
	execute := "explain (format json, verbose) execute " + name
	if n := len(description.ParamOIDs); n > 0 {
		execute += "(null" + strings.Repeat(", null", n-1) + ")"
	}
	res := v.conn.PgConn().ExecParams(ctx, execute, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return columns, node{}, res.Err
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(res.Rows[0][0], &plans); err != nil || len(plans) != 1 {
		return nil, node{}, fmt.Errorf("read the plan %s: %w", res.Rows[0][0], err)
	}
	return columns, plans[0].Plan, nil
}

// use is what a statement does with a table.
type use struct {
	Name    string
	Ops     []string
	Missing string // the grants that statek_tool lacks for it
}

// uses lists the tables of a plan. Partitions are replaced by the table that they are partitions of: statements
// name it, and rights are asked of it.
func (v *reviewer) uses(ctx context.Context, top node) ([]use, error) {
	var names, ops []string
	top.walk(false, func(n node, locked bool) {
		if n.Relation == "" || n.Schema == "" || n.Schema == "pg_catalog" || n.Schema == "information_schema" {
			return
		}
		op := "select"
		if n.Type == "ModifyTable" {
			op = strings.ToLower(n.Op)
		}
		names, ops = append(names, pgx.Identifier{n.Schema, n.Relation}.Sanitize()), append(ops, op)
		if locked {
			names, ops = append(names, names[len(names)-1]), append(ops, "update")
		}
	})
	// MERGE is an operation, and no right.
	rows, err := v.conn.Query(ctx, `
		with u as (
			select distinct coalesce(pg_partition_root(x.name::regclass), x.name::regclass) as rel, x.op
			from unnest($1::text[], $2::text[]) as x(name, op)
		)
		select statek.dep_relation(u.rel) as name, array_agg(u.op order by u.op) as ops, concat_ws('; ',
			(select 'grant usage on schema ' || quote_ident(n.nspname) || ' to statek_tool'
				from pg_class c join pg_namespace n on n.oid = c.relnamespace
				where c.oid = u.rel and not has_schema_privilege('statek_tool', n.oid, 'usage')),
			'grant ' || string_agg(u.op, ', ' order by u.op) filter (where u.op <> 'merge' and not has_table_privilege('statek_tool', u.rel, u.op))
				|| ' on ' || u.rel::text || ' to statek_tool') as missing
		from u group by u.rel order by 1`, names, ops)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[use])
}

// missingGrants says what to grant to statek_tool: with the caller's own rights the statement can be planned, and
// the plan names its tables.
func (v *reviewer) missingGrants(ctx context.Context, sql string) (string, error) {
	_, top, err := v.plan(ctx, "reset role", sql)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return "; role statek_tool needs the right", nil
	}
	if err != nil {
		return "", err
	}
	uses, err := v.uses(ctx, top)
	var missing []string
	for _, u := range uses {
		if u.Missing != "" {
			missing = append(missing, u.Missing)
		}
	}
	if len(missing) == 0 {
		return "; role statek_tool needs the right", err
	}
	return "; run: " + strings.Join(missing, "; "), err
}

// Called is a function that a statement calls.
type Called struct {
	Name string
	// Volatile: it may answer differently each time, or write. Opaque: a function of the application, which reads
	// nobody sees what.
	Volatile, Opaque bool
}

// Functions looks up functions by the names under which statements call them: without a schema they are Postgres' own.
// Names that are no functions (of types, of common tables) are left out.
func (s *Store) Functions(ctx context.Context, names []string) ([]Called, error) {
	rows, err := s.pool.Query(ctx, `
		select u.name, bool_and(p.provolatile = 'v') as volatile,
			bool_and(n.nspname <> 'pg_catalog' and p.provolatile <> 'i') as opaque
		from unnest($1::text[]) as u(name)
		join pg_proc p on p.proname = split_part(u.name, '.', case when u.name like '%.%' then 2 else 1 end)
		join pg_namespace n on n.oid = p.pronamespace and n.nspname = case when u.name like '%.%' then split_part(u.name, '.', 1) else 'pg_catalog' end
		where p.prokind in ('f', 'a', 'w')
		group by u.name order by u.name`, names)
	if err != nil {
		return nil, wrap(err, "look functions up")
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Called])
	return list, wrap(err, "look functions up")
}

// WatchFault says why a table cannot be watched by the column, compared with a parameter of a type; empty: it can.
func (s *Store) WatchFault(ctx context.Context, relation, column, paramType string) (string, error) {
	var fault *string
	err := s.pool.QueryRow(ctx, `select statek.watch_fault($1, nullif($2, ''), nullif($3, ''))`, relation, column, paramType).Scan(&fault)
	if err != nil || fault == nil {
		return "", wrap(err, "check a watch of %s", relation)
	}
	return *fault, nil
}

// Subscribed reports whether a subscription feeds the table or a part of it: its writes fire no statement trigger.
func (s *Store) Subscribed(ctx context.Context, relation string) (yes bool, err error) {
	err = s.pool.QueryRow(ctx, `select exists (
		select from pg_subscription_rel x where x.srrelid in (select r.relation from statek.watched_relations(statek.watched_table($1)) r))`, relation).Scan(&yes)
	return yes, wrap(err, "look for subscriptions of %s", relation)
}

// WatchCovers returns those of the tables whose writes somebody hears who watches the watched ones: they themselves,
// and what they inherit from or pass on to.
func (s *Store) WatchCovers(ctx context.Context, watched, tables []string) ([]string, error) {
	rows, err := s.pool.Query(ctx, `select t.name from unnest($2::text[]) as t(name)
		where exists (
			select from unnest($1::text[]) as w(name), statek.watched_relations(statek.watched_table(w.name)) r
			where r.relation = statek.watched_table(t.name))`, watched, tables)
	if err != nil {
		return nil, wrap(err, "compare tables with watches")
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return list, wrap(err, "compare tables with watches")
}
