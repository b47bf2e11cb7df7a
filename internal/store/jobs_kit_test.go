package store_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/jobs"
	"statek/internal/pgtest"
	"statek/internal/store"
)

// jobsKit is a private database with an agent, in which tests play workers by hand.
type jobsKit struct {
	testing.TB
	ctx   context.Context //nolint:containedctx // a test's own
	url   string
	pool  *pgxpool.Pool
	store *store.Store
	bell  *countingBell
	agent uuid.UUID
}

type countingBell struct{ rings, changes atomic.Int64 }

func (b *countingBell) Rang()                 { b.rings.Add(1) }
func (b *countingBell) Changed(jobs.ID, bool) { b.changes.Add(1) }

func newJobsKit(t testing.TB) *jobsKit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	k := &jobsKit{TB: t, ctx: ctx, url: pgtest.URL(t), bell: &countingBell{}}
	k.pool = pgtest.Pool(t, k.url)
	k.store = store.New(k.pool, k.bell, time.Now)
	k.scan("insert into statek.agents (prefix, role, version, hash, definition) values ('/', 'a', 1, '', '{}') returning id", &k.agent)
	return k
}

func (k *jobsKit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *jobsKit) exec(sql string, args ...any) {
	k.Helper()
	_, err := k.pool.Exec(k.ctx, sql, args...)
	k.must(err)
}

func (k *jobsKit) scan(sql string, into any, args ...any) {
	k.Helper()
	k.must(k.pool.QueryRow(k.ctx, sql, args...).Scan(into))
}

func (k *jobsKit) text(sql string, args ...any) string {
	k.Helper()
	var s string
	k.scan(sql, &s, args...)
	return s
}

func (k *jobsKit) count(sql string, args ...any) int {
	k.Helper()
	var n int
	k.scan(sql, &n, args...)
	return n
}

// session is a connection of its own in an open transaction.
func (k *jobsKit) session() pgx.Tx {
	k.Helper()
	conn, err := pgx.Connect(k.ctx, k.url)
	k.must(err)
	k.Cleanup(func() { _ = conn.Close(context.WithoutCancel(k.ctx)) })
	tx, err := conn.Begin(k.ctx)
	k.must(err)
	return tx
}

// blocked waits until as many sessions wait for a lock.
func (k *jobsKit) blocked(n int) {
	k.Helper()
	for k.count("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") < n {
		k.exec("select pg_sleep(0.002)")
	}
}

// worker registers a worker.
func (k *jobsKit) worker() uuid.UUID {
	k.Helper()
	id := uuid.New()
	conn, err := pgx.Connect(k.ctx, k.url)
	k.must(err)
	heart := store.NewHeart(conn)
	defer func() { _ = heart.Close(k.ctx) }()
	k.must(heart.Register(k.ctx, store.Worker{ID: id, Host: "h", PID: 1, Prefixes: []string{"/"}}))
	return id
}

// bury makes a worker dead.
func (k *jobsKit) bury(worker uuid.UUID) {
	k.Helper()
	k.exec("update statek.workers set dead_at = clock_timestamp() where id = $1", worker)
}

// draft is a job to be inserted.
func (k *jobsKit) draft() store.NewJob {
	return store.NewJob{
		ID: uuid.Must(uuid.NewV7()), Spec: jobs.Spec{Prefix: "/acme", Role: "a", AgentID: k.agent, AgentVersion: 1},
		Submitted: jobs.Submitted{Blocks: 1}, Priority: 2, At: time.Now(),
	}
}

// job inserts a job and takes its doorbell away.
func (k *jobsKit) job() jobs.ID {
	k.Helper()
	d := k.draft()
	_, _, err := k.store.InsertJobs(k.ctx, []store.NewJob{d}, false, store.Idempotency{})
	k.must(err)
	k.silence()
	return d.ID
}

// silence removes all doorbells.
func (k *jobsKit) silence() {
	k.Helper()
	k.exec("delete from river.river_job")
}

// doorbells lists the jobs that have been rung.
func (k *jobsKit) doorbells() []string {
	k.Helper()
	rows, err := k.pool.Query(k.ctx, `select x.job from river.river_job d, lateral (
		select d.args ->> 'job_id' where d.kind = 'doorbell' union all select jsonb_array_elements_text(d.args -> 'job_ids')) x(job)
		where d.state = 'available' order by d.id`)
	k.must(err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	k.must(err)
	return list
}

func (k *jobsKit) claim(job jobs.ID, worker uuid.UUID, held bool) (jobs.Record, bool) {
	k.Helper()
	rec, ok, err := k.store.Claim(k.ctx, job, worker, held)
	k.must(err)
	return rec, ok
}

// claimed takes the job, which must be possible.
func (k *jobsKit) claimed(job jobs.ID, worker uuid.UUID) *holder {
	k.Helper()
	rec, ok := k.claim(job, worker, false)
	if !ok {
		k.Fatalf("worker %s could not claim job %s", worker, job)
	}
	return &holder{k: k, rec: rec, state: rec.State}
}

// holder is a worker's hold on a job.
type holder struct {
	k     *jobsKit
	rec   jobs.Record
	state jobs.Job
}

// commit applies events and makes them a commit, which is not sent.
func (h *holder) commit(events ...jobs.Event) jobs.Commit {
	h.k.Helper()
	c := jobs.Commit{Hold: h.rec.Hold}
	for _, ev := range events {
		cell := 0
		if h.state.Cell != nil {
			cell = h.state.Cell.Number
		}
		next, _, err := jobs.Step(h.state, ev, time.Now())
		h.k.must(err)
		h.state = next
		e := jobs.Entry{Seq: next.Seq, At: time.Now(), Event: ev}
		e.Cell, e.Call = jobs.Place(ev, cell)
		c.Entries = append(c.Entries, e)
	}
	c.State = h.state
	return c
}

func start(cell int) jobs.CellStarted {
	return jobs.CellStarted{Cell: cell, Origin: jobs.FromWarmup, Index: cell - 1, Source: "x", Engine: 1}
}

// everything is what a refused commit must not have changed: all rows of the job, and the doorbells.
func (k *jobsKit) everything(job jobs.ID) []string {
	k.Helper()
	return k.everythingIn(k.pool, job)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (k *jobsKit) everythingIn(q querier, job jobs.ID) []string {
	k.Helper()
	var all []string
	for _, sql := range []string{
		"select concat_ws('|', 'state', status, epoch, owner, rung, seq, core, blocked_on, wake_at, finished_at, result, error) from statek.job_state where job_id = $1",
		"select concat_ws('|', 'history', seq, kind, payload) from statek.history where job_id = $1 order by seq",
		"select concat_ws('|', 'variable', name, cell_from, cell_to, value) from statek.variables where job_id = $1 order by name, cell_from",
		"select concat_ws('|', 'wait', cell, call, name) from statek.waits where job_id = $1 order by cell, call",
		"select concat_ws('|', 'mail', id, kind, payload) from statek.mailbox where job_id = $1 order by id",
		"select concat_ws('|', 'usage', seq, model) from statek.usage where job_id = $1 order by seq",
		"select concat_ws('|', 'job', open_key) from statek.jobs where id = $1",
		"select concat_ws('|', 'doorbell', id) from river.river_job where args ->> 'job_id' = $1::text order by id",
	} {
		rows, err := q.Query(k.ctx, sql, job)
		k.must(err)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		k.must(err)
		all = append(all, list...)
	}
	return all
}

// mail leaves a message in its own transaction, with a ring.
func (k *jobsKit) mail(job jobs.ID, payload string) {
	k.Helper()
	k.must(put(k.ctx, k.store, job, payload))
}

// put leaves a message for whoever has the job, or will.
func put(ctx context.Context, s *store.Store, job jobs.ID, payload string) error {
	_, _, err := s.Put(ctx, job, "message", json.RawMessage(payload), uuid.Nil)
	return err
}

// payloads reads the mailbox.
func (k *jobsKit) payloads(job jobs.ID) []string {
	k.Helper()
	mail, err := k.store.Mail(k.ctx, job)
	k.must(err)
	list := []string{}
	for _, m := range mail {
		list = append(list, string(m.Payload))
	}
	return list
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
