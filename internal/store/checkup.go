package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"statek/internal/temporal"
)

// By hand, all of it: sqlc knows neither the statistics views nor the functions' columns.

// Holder is a transaction that delays the settling of new waits: it has an id, and is old.
type Holder struct {
	Who string // "session 123 of app (psql), idle in transaction", "prepared transaction x"
	Age time.Duration
}

// Holders lists transactions older than age, of the whole server.
func (s *Store) Holders(ctx context.Context, age time.Duration) ([]Holder, error) {
	return rowsOf[Holder](ctx, s, "list old transactions", `
		select h.who, h.age from (
			select format('session %s of %s in database %s (%s), %s', pid, usename, datname, coalesce(nullif(application_name, ''), 'unnamed'), state) as who,
				clock_timestamp() - xact_start as age
			from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
			union all
			select format('the prepared transaction %s of %s in database %s', quote_literal(gid), owner, database), clock_timestamp() - prepared from pg_prepared_xacts
		) h where h.age > make_interval(secs => $1) order by h.age desc`, age.Seconds())
}

// TableSize is what a table takes with its indexes.
type TableSize struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Rows  int64  `json:"rows" doc:"As the statistics estimate."`
}

// TableSizes lists Statek's and River's tables, the largest first; partitions are added up.
func (s *Store) TableSizes(ctx context.Context) ([]TableSize, error) {
	return rowsOf[TableSize](ctx, s, "read the sizes of tables", `
		select statek.dep_relation(coalesce(pg_partition_root(c.oid), c.oid)) as name, sum(pg_total_relation_size(c.oid))::bigint as bytes,
			sum(greatest(c.reltuples, 0))::bigint as rows
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname in ('statek', 'river') and c.relkind = 'r' group by 1 order by 2 desc, 1`)
}

// Doorbells counts River's rows of a state.
type Doorbells struct {
	State string
	Count int64
	// Known: a state in which a doorbell is rung, answered or removed.
	Known bool
	// Age of the oldest.
	Age time.Duration
}

// Doorbells counts River's rows by state.
func (s *Store) Doorbells(ctx context.Context) ([]Doorbells, error) {
	return rowsOf[Doorbells](ctx, s, "count doorbells", `
		select state::text as state, count(*) as count, state in ('available', 'running', 'completed') as known,
			clock_timestamp() - min(created_at) as age
		from river.river_job group by state order by 1`)
}

// Silent is a live worker that does not listen.
type Silent struct{ ID, Host string }

// NotListening lists live workers without a session that listens: they poll.
func (s *Store) NotListening(ctx context.Context) ([]Silent, error) {
	return rowsOf[Silent](ctx, s, "look for workers that poll", `
		select w.id::text as id, w.host || ':' || w.pid as host from statek.workers w
		where w.dead_at is null and w.beat_at > clock_timestamp() - interval '5 seconds' and w.started_at < clock_timestamp() - interval '10 seconds'
			and not exists (select from pg_stat_activity a where a.application_name = 'statek worker ' || w.id and a.query like 'listen "`+DirtyChannel+`"%')
		order by 2`)
}

// Parked are groups whose SQL fails.
type Parked struct {
	Name, Prefix, Error string
	Groups              int64
}

// Parked lists what fails, the most frequent first.
func (s *Store) Parked(ctx context.Context) ([]Parked, error) {
	return rowsOf[Parked](ctx, s, "list parked groups", `
		select name, prefix, last_error as error, count(*) as groups from statek.wait_groups
		where last_result = 'failed' group by 1, 2, 3 order by 4 desc, 1, 2 limit 20`)
}

// Clock returns the database's time.
func (s *Store) Clock(ctx context.Context) (at time.Time, err error) {
	err = s.pool.QueryRow(ctx, "select clock_timestamp()").Scan(&at)
	return at, wrap(err, "read the clock")
}

// Caught returns the counter of lost wake-ups, when the last was and what about; 0 when there was none.
func (s *Store) Caught(ctx context.Context) (n int64, at time.Time, note string, err error) {
	row, err := s.q.CounterRead(ctx, SweepCaught)
	if isNoRows(err) {
		return 0, at, "", nil
	}
	return row.N, row.At, row.Note, wrap(err, "read the counter of lost wake-ups")
}

// Rewatch runs the statement that mends a watch.
func (s *Store) Rewatch(ctx context.Context, p WatchProblem) error {
	if !p.Fixable {
		return fmt.Errorf("store: watch of %s cannot be mended by itself", p.Relation)
	}
	_, err := s.pool.Exec(ctx, "select statek.watch(statek.watched_table($1), nullif($2, ''))", p.Relation, p.Key)
	return wrap(err, "watch %s", p.Relation)
}

// Current is the newest version of a temporal at a prefix.
type Current struct {
	Prefix     string
	Definition temporal.Definition
}

// CurrentTemporals lists the newest version of every temporal.
func (s *Store) CurrentTemporals(ctx context.Context) ([]Current, error) {
	type row struct{ Prefix, Definition string }
	rows, err := rowsOf[row](ctx, s, "list temporals", `
		select distinct on (prefix, name) prefix::text as prefix, definition::text as definition from statek.temporals order by prefix, name, version desc`)
	list := make([]Current, len(rows))
	for i, r := range rows {
		list[i].Prefix = r.Prefix
		if err := json.Unmarshal([]byte(r.Definition), &list[i].Definition); err != nil {
			return nil, wrap(err, "decode a temporal of %s", r.Prefix)
		}
	}
	return list, err
}

func rowsOf[T any](ctx context.Context, s *Store, what, sql string, args ...any) ([]T, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, wrap(err, "%s", what)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
	return list, wrap(err, "%s", what)
}
