package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/pgtest"
	"statek/internal/store"
	"statek/internal/temporal"
)

// waitsKit is a private database with an application in it: a table of tasks, watched by queue.
type waitsKit struct {
	testing.TB
	ctx    context.Context //nolint:containedctx // a test's own
	pool   *pgxpool.Pool
	waits  *store.Waits
	offset atomic.Int64 // added to the clock
	agent  uuid.UUID
}

const appSchema = `
create schema app;
create table app.tasks (id bigint generated always as identity primary key, queue text, state text not null default 'ready',
  note text, amount numeric);
create unique index tasks_note on app.tasks (note);
create table app.parts (id bigint not null, queue text, state text not null default 'ready') partition by range (id);
create table app.parts_low partition of app.parts for values from (0) to (1000000);
create table app.parts_high partition of app.parts for values from (1000000) to (2000000);
grant usage on schema app to statek_tool;
grant select, insert, update, delete on all tables in schema app to statek_tool;
select statek.watch('app.tasks', 'queue');
select statek.watch('app.parts', 'queue');`

// pick claims one ready row; drained is true when there is none.
const (
	pickTask = `-- temporal: pickTask(queue text)
-- watch: app.tasks key queue
-- condition
select 1 from app.tasks where queue = :queue and state = 'ready'
-- complement
update app.tasks set state = 'taken'
where id = (select id from app.tasks where queue = :queue and state = 'ready' order by id limit 1 for no key update skip locked)
returning id, queue, amount
`
	pickPart = `-- temporal: pickPart(queue text)
-- watch: app.parts key queue
-- condition
select 1 from app.parts where queue = :queue and state = 'ready'
-- complement
update app.parts set state = 'taken'
where id = (select id from app.parts where queue = :queue and state = 'ready' order by id limit 1 for no key update skip locked)
returning id, queue
`
	drained = `-- temporal: drained(queue text)
-- watch: app.tasks key queue
-- condition
select not exists (select from app.tasks where queue = :queue)
-- complement
select :queue as queue, :job_id as job
`
)

func newWaitsKit(t testing.TB) *waitsKit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	k := &waitsKit{TB: t, ctx: ctx, pool: pgtest.DB(t)}
	k.waits = store.NewWaits(k.pool, k.now)
	k.exec(appSchema)
	k.scan("insert into statek.agents (prefix, role, version, hash, definition) values ('/', 'a', 1, '', '{}') returning id", &k.agent)
	return k
}

func (k *waitsKit) now() time.Time { return time.Now().Add(time.Duration(k.offset.Load())) }

func (k *waitsKit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *waitsKit) exec(sql string, args ...any) {
	k.Helper()
	_, err := k.pool.Exec(k.ctx, sql, args...)
	k.must(err)
}

func (k *waitsKit) scan(sql string, into any, args ...any) {
	k.Helper()
	k.must(k.pool.QueryRow(k.ctx, sql, args...).Scan(into))
}

func (k *waitsKit) job(prefix string) uuid.UUID {
	k.Helper()
	var id uuid.UUID
	k.scan("insert into statek.jobs (prefix, agent_id, role, agent_version, spec) values ($1, $2, 'a', 1, '{}') returning id", &id, prefix, k.agent)
	return id
}

// define stores a temporal and returns its version id.
func (k *waitsKit) define(text string) (*temporal.Definition, string) {
	k.Helper()
	def, _, err := temporal.ParseDefinition("test.sql", text)
	k.must(err)
	raw, err := json.Marshal(def)
	k.must(err)
	var id uuid.UUID
	k.scan("insert into statek.temporals (prefix, name, version, hash, definition) values ('/', $1, 1, '', $2) returning id", &id, def.Name, string(raw))
	return &def, id.String()
}

// plan is the wait of call number call of cell 1. args is a JSON array.
func (k *waitsKit) plan(call int, name string, def *temporal.Definition, id, args string) temporal.Spec {
	k.Helper()
	var list []json.RawMessage
	k.must(json.Unmarshal([]byte(args), &list))
	spec, err := temporal.Plan(name, list, temporal.Scope{
		Cell: 1, Call: call, Now: time.Now().Add(time.Duration(k.offset.Load())), Prefix: "/acme/dev", Def: def, TemporalID: id,
	})
	k.must(err)
	return spec
}

func (k *waitsKit) register(db interface {
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}, job uuid.UUID, specs ...temporal.Spec,
) {
	k.Helper()
	b := &pgx.Batch{}
	k.waits.QueueRegister(b, job, specs...)
	k.must(db.SendBatch(k.ctx, b).Close())
}

// mail renders a job's mailbox: kind, cell, call, payload.
func (k *waitsKit) mail(job uuid.UUID) []string {
	k.Helper()
	rows, err := k.pool.Query(k.ctx, "select kind, cell, call, payload::text from statek.mailbox where job_id = $1 order by id", job)
	k.must(err)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var kind, payload string
		var cell, call int
		err := row.Scan(&kind, &cell, &call, &payload)
		return fmt.Sprintf("%s %d/%d %s", kind, cell, call, payload), err
	})
	k.must(err)
	return list
}

func (k *waitsKit) count(sql string, args ...any) int {
	k.Helper()
	var n int
	k.scan(sql, &n, args...)
	return n
}

// quiesce lets the workers' ticks run, on a clock that jumps past every back-off, until nothing is owed.
// Settling may have to wait for transactions of other tests: ids are the whole cluster's.
func (k *waitsKit) quiesce() {
	k.Helper()
	for {
		_, _, err := k.waits.Tick(k.ctx)
		k.must(err)
		owed := k.count("select (select count(*) from statek.wait_checks) + (select count(*) from statek.dirty)")
		contended := k.count("select count(*) from statek.wait_groups where retry_at is not null and recheck is null and last_result = 'contended'")
		if contended > 0 {
			k.offset.Add(int64(10 * time.Second))
		} else if owed == 0 {
			return
		}
	}
}

// quiesceStill is quiesce with the clock standing still.
func (k *waitsKit) quiesceStill() {
	k.Helper()
	for busy := true; busy; {
		_, _, err := k.waits.Tick(k.ctx)
		k.must(err)
		k.scan("select exists (select from statek.wait_checks) or exists (select from statek.dirty)", &busy)
	}
}
