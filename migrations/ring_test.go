package migrations_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/pgtest"
)

// TestRiverColumns pins what statek.ring relies on. If River's migrations change this list, look at its
// insert statement and at statek.ring before changing it here.
func TestRiverColumns(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	rows, err := tx.Query(t.Context(), `
		select format('%s %s%s%s', attname, format_type(atttypid, atttypmod),
			case when attnotnull then ' not null' else '' end, ' = ' || pg_get_expr(adbin, adrelid))
		from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
		where attrelid = 'river.river_job'::regclass and attnum > 0 and not attisdropped order by attname`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"args jsonb not null",
		"attempt smallint not null = 0",
		"attempted_at timestamp with time zone",
		"attempted_by text[]",
		"created_at timestamp with time zone not null = now()",
		"errors jsonb[]",
		"finalized_at timestamp with time zone",
		"id bigint not null = nextval('river.river_job_id_seq'::regclass)",
		"kind text not null",
		"max_attempts smallint not null = 25",
		"metadata jsonb not null = '{}'::jsonb",
		"priority smallint not null = 1",
		"queue text not null = 'default'::text",
		"scheduled_at timestamp with time zone not null = now()",
		"state river.river_job_state not null = 'available'::river.river_job_state",
		"tags character varying(255)[] not null = '{}'::character varying[]",
		"unique_key bytea",
		"unique_states bit(8)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("river.river_job (-want +got):\n%s", diff)
	}
	if got := one[int64](t, tx, "select count(*) from pg_trigger where tgrelid = 'river.river_job'::regclass"); got != 0 {
		t.Errorf("River has %d triggers on its jobs: would they notify in a hot commit?", got)
	}
}

func TestRing(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	a, b := uuid.New(), uuid.New()
	do(t, tx, "select statek.ring($1)", []*uuid.UUID{&a, &b, &a, nil})
	do(t, tx, "select statek.ring('{}', true)")
	do(t, tx, "select statek.ring(null, true)")
	type doorbell struct {
		Job, Queue, State, Kind string
		Priority, Attempts      int
	}
	rows, err := tx.Query(t.Context(), `select args ->> 'job_id' as job, queue, state::text, kind, priority, max_attempts as attempts
		from river.river_job order by args ->> 'job_id' = $1 desc`, a.String())
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByName[doorbell])
	if err != nil {
		t.Fatal(err)
	}
	want := []doorbell{
		{a.String(), "default", "available", "doorbell", 1, 25},
		{b.String(), "default", "available", "doorbell", 1, 25},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("doorbells (-want +got):\n%s", diff)
	}
}

// TestRingWaitsForNobody: a ring goes through while a commit holds the job's row, and changes nothing there.
func TestRingWaitsForNobody(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	committer, ringer := begin(t, url), begin(t, url)
	job := newJob(t, committer, "STARTED")
	if err := committer.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	committer = begin(t, url)
	do(t, committer, "update statek.job_state set changed_at = now() where job_id = $1", job)
	do(t, ringer, "set local lock_timeout = '1ms'")
	do(t, ringer, "select statek.ring(array[$1]::uuid[])", job)
	if got := one[string](t, ringer, "select js::text from statek.job_state js"); strings.Contains(got, ",t,") {
		t.Errorf("the ring has marked the job: %s", got)
	}
}

func TestRingNotifiesOnRequest(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	listener := connect(t, url)
	if _, err := listener.Exec(t.Context(), `listen "river.river_insert"`); err != nil {
		t.Fatal(err)
	}
	tx := begin(t, url)
	do(t, tx, "select statek.ring(array[gen_random_uuid()])")
	do(t, tx, "select statek.ring(array[gen_random_uuid(), gen_random_uuid()], true)")
	do(t, tx, "select pg_notify('river.river_insert', 'last')")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []string
	for len(got) == 0 || got[len(got)-1] != "last" {
		n, err := listener.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n.Payload)
	}
	if diff := cmp.Diff([]string{`{"queue":"default"}`, "last"}, got); diff != "" {
		t.Errorf("notifications (-want +got):\n%s", diff)
	}
}

type claim struct {
	Claimed  bool
	Epoch    int64
	Previous *uuid.UUID
}

func take(t *testing.T, tx pgx.Tx, job, worker uuid.UUID, held bool) []claim {
	t.Helper()
	rows, err := tx.Query(t.Context(), "select claimed, epoch, previous from statek.claim_jobs(array[$1::uuid], array[$3::boolean], $2)", job, worker, held)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[claim])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func newWorker(t *testing.T, tx pgx.Tx) uuid.UUID {
	t.Helper()
	return one[uuid.UUID](t, tx, "insert into statek.workers (id, host, pid, version) values (gen_random_uuid(), 'h', 1, 'v') returning id")
}

func TestClaim(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	w1, w2, gone := newWorker(t, tx), newWorker(t, tx), uuid.New()
	job := newJob(t, tx, "READY")
	rung := func() bool { return one[bool](t, tx, "select rung from statek.job_state where job_id = $1", job) }
	steps := []struct {
		name   string
		before string
		worker uuid.UUID
		held   bool
		want   claim
		rung   bool
	}{
		{"free", "", w1, false, claim{true, 1, nil}, false},
		{"held by a live worker", "", w2, false, claim{false, 1, &w1}, true},
		{"again", "", w2, false, claim{false, 1, &w1}, true},
		{"its owner runs it", "", w1, true, claim{false, 1, &w1}, true},
		{"its owner has lost it from memory", "", w1, false, claim{true, 2, &w1}, false},
		{"the owner has died", "update statek.workers set dead_at = now() where id = '" + w1.String() + "'", w2, false, claim{true, 3, &w1}, false},
		{"the owner's row is gone", "update statek.job_state set owner = '" + gone.String() + "'", w1, false, claim{true, 4, &gone}, false},
	}
	for _, step := range steps {
		if step.before != "" {
			do(t, tx, step.before)
		}
		if diff := cmp.Diff([]claim{step.want}, take(t, tx, job, step.worker, step.held)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if got := rung(); got != step.rung {
			t.Errorf("%s: got rung %v, want %v", step.name, got, step.rung)
		}
	}
	if got := take(t, tx, uuid.New(), w1, false); len(got) != 0 {
		t.Errorf("an unknown job was claimed: %v", got)
	}
}

// TestClaimsTakeTurns: of two workers that claim at once one gets the job, the other leaves its ring.
func TestClaimsTakeTurns(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	setup := begin(t, url)
	w1, w2 := newWorker(t, setup), newWorker(t, setup)
	job := newJob(t, setup, "READY")
	if err := setup.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second, watcher := begin(t, url), begin(t, url), connect(t, url)
	if got := take(t, first, job, w1, false); !got[0].Claimed {
		t.Fatalf("got %v, want the job", got)
	}
	result := make(chan []claim, 1)
	go func() { result <- take(t, second, job, w2, false) }()
	waitUntil(t, watcher, "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')")
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]claim{{false, 1, &w1}}, <-result); diff != "" {
		t.Errorf("the second claim (-want +got):\n%s", diff)
	}
	if !one[bool](t, second, "select rung from statek.job_state where job_id = $1", job) {
		t.Error("the second claim has left no ring")
	}
}

// TestClaimsTogether: what is locked is not waited for, and each job has its own fate.
func TestClaimsTogether(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	setup := begin(t, url)
	w1, w2 := newWorker(t, setup), newWorker(t, setup)
	free, held, locked := newJob(t, setup, "READY"), newJob(t, setup, "READY"), newJob(t, setup, "READY")
	take(t, setup, held, w1, false)
	if err := setup.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, tx := begin(t, url), begin(t, url)
	do(t, other, "select from statek.job_state where job_id = '"+locked.String()+"' for update")
	rows, err := tx.Query(t.Context(), "select job, claimed, epoch from statek.claim_jobs($1, $2, $3)",
		[]uuid.UUID{free, held, locked, uuid.New()}, []bool{false, false, false, false}, w2)
	if err != nil {
		t.Fatal(err)
	}
	type fate struct {
		Job     uuid.UUID
		Claimed bool
		Epoch   int64
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[fate])
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b fate) int { return bytes.Compare(a.Job[:], b.Job[:]) })
	if diff := cmp.Diff([]fate{{free, true, 1}, {held, false, 1}}, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if !one[bool](t, tx, "select rung from statek.job_state where job_id = $1", held) {
		t.Error("the owner was not told")
	}
}

const commit = `select (statek.commit_jobs($3, array[$1::uuid], array[$2::bigint], array[$4::text], array[$5::integer], array[($8::json ->> 'seq')::bigint], array[$6::text],
	array[$7::text], array[$8::text], array['sleep'], array['sleeps'], array[$9::timestamptz], array[null::text], array['broken'],
	(array[1, 1, 1])[1:$5], (array[1, 2, 3])[1:$5], (array['console', 'console', 'console'])[1:$5], (array[1, 1, 1])[1:$5], (array[0, 0, 0])[1:$5],
	(array[now(), now(), now()])[1:$5], (array['{"lines":["a"]}', '{}', '{}'])[1:$5], '{}', '{}', '{}', '{}', '{}', '{}', '{}'))[1]`

func TestCommitJobs(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	worker := newWorker(t, tx)
	job := newJob(t, tx, "READY")
	take(t, tx, job, worker, false)
	wake := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	state := func() string {
		return one[string](t, tx, `select format('%s %s %s %s %s', s.status, s.outcome, s.seq, s.owner is null,
			(select string_agg(concat(h.seq, h.payload), ' ' order by h.seq) from statek.history h where h.job_id = s.job_id and h.kind = 'console'))
			from statek.job_state s where job_id = $1`, job)
	}
	first := one[int64](t, tx, "select seq from statek.job_state where job_id = $1", job)
	if one[bool](t, tx, commit, job, 1, worker, nil, 3, "SUSPENDED", nil, fmt.Sprintf(`{"seq":%d}`, first+3), wake) {
		t.Error("a commit has given the job up that was not to")
	}
	if got, want := state(), fmt.Sprintf(`SUSPENDED  %d f %d{"lines":["a"]} %d{} %d{}`, first+3, first+1, first+2, first+3); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	do(t, tx, "update statek.job_state set rung = true")
	end := fmt.Sprintf(`{"seq":%d}`, first+3)
	if one[bool](t, tx, commit, job, 1, worker, "release", 0, "STARTED", nil, end, nil) {
		t.Error("a rung job was released")
	}
	do(t, tx, "update statek.job_state set rung = false")
	if !one[bool](t, tx, commit, job, 1, worker, "release", 0, "DONE", "failed", end, nil) {
		t.Error("the job was not released")
	}
	if got := one[string](t, tx, "select error from statek.job_state where job_id = $1 and finished_at is not null", job); got != "broken" {
		t.Errorf("got error %q", got)
	}
	for name, args := range map[string][]any{
		"released":    {job, 1, worker},
		"old epoch":   {job, 0, worker},
		"other owner": {job, 1, uuid.New()},
		"unknown job": {uuid.New(), 1, worker},
	} {
		_, err := tx.Exec(t.Context(), "savepoint x")
		if err != nil {
			t.Fatal(err)
		}
		_, err = tx.Exec(t.Context(), commit, append(args, nil, 1, "STARTED", nil, "{}", nil)...)
		if e := (&pgconn.PgError{}); !errors.As(err, &e) || e.Code != "ST001" || !strings.Contains(e.Message, fmt.Sprint(args[0])) {
			t.Errorf("%s: got %v, want ST001 with the job's id", name, err)
		}
		do(t, tx, "rollback to savepoint x")
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	worker := newWorker(t, tx)
	job := newJob(t, tx, "READY")
	take(t, tx, job, worker, false)
	release := func(epoch int, owner uuid.UUID) bool {
		return one[bool](t, tx, "select statek.release($1, $2, $3)", job, epoch, owner)
	}
	if release(2, worker) || release(1, uuid.New()) {
		t.Error("someone who does not hold the job has released it")
	}
	do(t, tx, "update statek.job_state set rung = true")
	if release(1, worker) {
		t.Error("a rung job was released")
	}
	do(t, tx, "update statek.job_state set rung = false")
	if !release(1, worker) {
		t.Error("the owner could not release its job")
	}
	if release(1, worker) {
		t.Error("the job was released twice")
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func begin(t *testing.T, url string) pgx.Tx {
	t.Helper()
	tx, err := connect(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}
