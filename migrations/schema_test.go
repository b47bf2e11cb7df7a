package migrations_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/pgtest"
)

// refused runs a statement that must fail, inside a savepoint, and returns its SQLSTATE.
func refused(t *testing.T, tx pgx.Tx, sql string, args ...any) string {
	t.Helper()
	inner, err := tx.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inner.Rollback(t.Context()) }()
	_, err = inner.Exec(t.Context(), sql, args...)
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		t.Errorf("%s: got %v, want an error of the server", sql, err)
		return ""
	}
	return e.Code
}

// one reads a single value.
func one[T any](t *testing.T, tx pgx.Tx, sql string, args ...any) T {
	t.Helper()
	rows, err := tx.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func do(t *testing.T, tx pgx.Tx, sql string, args ...any) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// newJob submits a job as far as its tables are concerned.
func newJob(t *testing.T, tx pgx.Tx, status string) uuid.UUID {
	t.Helper()
	agent := one[uuid.UUID](t, tx, `insert into statek.agents (prefix, role, version, hash, definition)
		values ('/acme', 'triage', (select coalesce(max(version), 0) + 1 from statek.agents where role = 'triage'), 'h', '{}')
		returning id`)
	job := one[uuid.UUID](t, tx, `insert into statek.jobs (prefix, agent_id, role, agent_version, source, tags, spec)
		values ('/acme/dev', $1, 'triage', 1, 'test', '{urgent}', '{}') returning id`, agent)
	var outcome any
	if status == "DONE" {
		outcome = "succeeded"
	}
	do(t, tx, `insert into statek.job_state (job_id, status, outcome, core) values ($1, $2, $3, '{"seq":0}')`, job, status, outcome)
	return job
}

func TestTablesRefuseNonsense(t *testing.T) {
	t.Parallel()
	const check, notNull, unique, foreign = "23514", "23502", "23505", "23503"
	tests := []struct{ name, sql, code string }{
		{"relative prefix", "insert into statek.prefixes (path) values ('acme')", check},
		{"prefix with an empty part", "insert into statek.prefixes (path) values ('/a//b')", check},
		{"prefix with a trailing slash", "insert into statek.prefixes (path) values ('/a/')", check},
		{"prefix with a line end", "insert into statek.prefixes (path) values (E'/a\n')", check},
		{"prefix with a long part", "insert into statek.prefixes (path) values ('/' || repeat('a', 65))", check},
		{"deep prefix", "insert into statek.prefixes (path) values (repeat('/a', 17))", check},
		{"role with a space", "insert into statek.agents (prefix, role, version, hash, definition) values ('/', 'a b', 1, '', '{}')", check},
		{"version zero", "insert into statek.agents (prefix, role, version, hash, definition) values ('/', 'a', 0, '', '{}')", check},
		{"tool version zero", "insert into statek.tools (prefix, name, version, hash, definition) values ('/', 'a', 0, '', '{}')", check},
		{"temporal version zero", "insert into statek.temporals (prefix, name, version, hash, definition) values ('/', 'a', 0, '', '{}')", check},
		{"job without an agent", "insert into statek.jobs (prefix, agent_id, role, agent_version, spec) values ('/', statek.uuidv7(), 'a', 1, '{}')", foreign},
		{"priority five", "insert into statek.jobs (prefix, agent_id, role, agent_version, spec, priority) select prefix, agent_id, role, 1, '{}', 5 from statek.jobs", check},
		{"second open key", "insert into statek.jobs (prefix, agent_id, role, agent_version, spec, open_key) select prefix, agent_id, role, 1, '{}', 'k' from statek.jobs, generate_series(1, 2)", unique},
		{"unknown status", "update statek.job_state set status = 'ASLEEP'", check},
		{"done without an outcome", "update statek.job_state set status = 'DONE'", check},
		{"outcome before the end", "update statek.job_state set outcome = 'failed'", check},
		{"unknown outcome", "update statek.job_state set status = 'DONE', outcome = 'maybe'", check},
		{"state without core", "update statek.job_state set core = null", notNull},
		{"core of another seq", `update statek.job_state set core = '{"status":"STARTED","seq":7,"result":"\u0000"}'`, check},
		{"core that is no JSON", "update statek.job_state set core = '{'", "22P02"},
		{"unknown mail", "insert into statek.mailbox (job_id, kind) select id, 'gossip' from statek.jobs", check},
		{"mail for nobody", "insert into statek.mailbox (job_id, kind) values (statek.uuidv7(), 'cancel')", foreign},
		{"variable without value and reason", "insert into statek.variables (job_id, name, cell_from, type, bytes) values (statek.uuidv7(), 'v', 1, 'number', 1)", check},
		{"variable with value and reason", "insert into statek.variables (job_id, name, cell_from, type, bytes, value, refused) values (statek.uuidv7(), 'v', 1, 'number', 1, '1', 'why')", check},
		{"empty idempotency key", "insert into statek.idempotency_keys (prefix, key, request, status, response) values ('/', '', '', 200, '{}')", check},
		{"unknown kind of wait", "insert into statek.waits (job_id, cell, call, kind, name) select id, 1, 1, 'hope', 'x' from statek.jobs", check},
		{"two waits of one call", "insert into statek.waits (job_id, cell, call, kind, name) select id, 1, 1, 'sleep', 'x' from statek.jobs, generate_series(1, 2)", unique},
		{"unknown kind of group", "insert into statek.wait_groups (prefix, kind, name, args, hash) values ('/', 'hope', 'x', '[]', 'h')", check},
		{"fact without a name", "insert into statek.facts (prefix, name, payload) values ('/', '', '1')", check},
		{"object version zero", "insert into statek.objects (prefix, collection, key, version, value, created_at, updated_at, updated_by) values ('/', 'c', 'k', 0, '1', now(), now(), '')", check},
		{"object of an odd collection", "insert into statek.objects (prefix, collection, key, version, value, created_at, updated_at, updated_by) values ('/', 'a b', 'k', 1, '1', now(), now(), '')", check},
		{"object with a line in its key", "insert into statek.objects (prefix, collection, key, version, value, created_at, updated_at, updated_by) values ('/', 'c', E'k\\n', 1, '1', now(), now(), '')", check},
		{"version of no object", "insert into statek.object_versions (prefix, collection, key, version, updated_at, updated_by) values ('/', 'c', 'k', 1, now(), '')", foreign},
		{"second fact of a key", "insert into statek.facts (prefix, name, key, payload) select '/', 'n', 'k', '1' from generate_series(1, 2)", unique},
	}
	tx := pgtest.Tx(t)
	newJob(t, tx, "STARTED")
	for _, test := range tests {
		if got := refused(t, tx, test.sql); got != test.code {
			t.Errorf("%s: got SQLSTATE %s, want %s", test.name, got, test.code)
		}
	}
}

func TestOpenVariableIsUnique(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	job := newJob(t, tx, "STARTED")
	add := "insert into statek.variables (job_id, name, cell_from, cell_to, value, type, bytes) values ($1, 'v', $2, $3, '1', 'number', 1)"
	do(t, tx, add, job, 1, 2)
	do(t, tx, add, job, 2, nil)
	if got := refused(t, tx, add, job, 3, nil); got != "23505" {
		t.Errorf("got SQLSTATE %s for a second current version, want 23505", got)
	}
}

// TestToolsCannotReadStatek: SQL of tools and temporals runs as statek_tool.
func TestToolsCannotReadStatek(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	job := newJob(t, tx, "STARTED")
	rows, err := tx.Query(t.Context(), `select quote_ident(nspname) || '.' || quote_ident(relname) from pg_class c
		join pg_namespace n on n.oid = relnamespace where nspname in ('statek', 'river') and relkind in ('r', 'p', 'v')`)
	if err != nil {
		t.Fatal(err)
	}
	relations, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(relations) < 20 {
		t.Fatalf("found only %d relations to try", len(relations))
	}
	do(t, tx, "set local role statek_tool")
	for _, name := range relations {
		for _, sql := range []string{"select * from " + name, "delete from " + name} {
			if got := refused(t, tx, sql); got != "42501" {
				t.Errorf("%s as statek_tool: got SQLSTATE %q, want 42501", sql, got)
			}
		}
	}
	for _, sql := range []string{
		"select statek.ring(array['" + job.String() + "'::uuid])",
		"select statek.uuidv7()",
		"create table statek.mine (id int)",
	} {
		if got := refused(t, tx, sql); got != "42501" {
			t.Errorf("%s as statek_tool: got SQLSTATE %q, want 42501", sql, got)
		}
	}
	do(t, tx, "reset role")
	one[int64](t, tx, "select count(*) from statek.jobs")
}

func TestUUIDs(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	var last string
	for _, at := range []string{
		"1970-01-01T00:00:00Z", "2024-01-02T03:04:05.678Z", "2024-01-02T03:04:05.679Z", "2026-03-29T01:00:00Z", "2199-12-31T23:59:59.999Z",
	} {
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		id := one[uuid.UUID](t, tx, "select statek.uuid_at($1)", when)
		checkV7(t, id, when)
		if !strings.HasSuffix(id.String(), "-7000-8000-000000000000") {
			t.Errorf("%s is not the smallest of its instant", id)
		}
		if id.String() <= last {
			t.Errorf("%s does not come after %s", id, last)
		}
		last = id.String()
	}
	seen := map[uuid.UUID]bool{}
	for range 50 {
		before := one[time.Time](t, tx, "select clock_timestamp()")
		id := one[uuid.UUID](t, tx, "select statek.uuidv7()")
		after := one[time.Time](t, tx, "select clock_timestamp()")
		if seen[id] {
			t.Errorf("%s came twice", id)
		}
		seen[id] = true
		sec, nsec := id.Time().UnixTime()
		when := time.Unix(sec, nsec)
		checkV7(t, id, when)
		if when.Before(before.Add(-time.Millisecond)) || when.After(after) {
			t.Errorf("%s is of %s, not of now (%s to %s)", id, when, before, after)
		}
		if !one[bool](t, tx, "select $1::uuid >= statek.uuid_at($2)", id, before.Add(-time.Millisecond)) {
			t.Errorf("%s sorts before its time", id)
		}
	}
}

func checkV7(t *testing.T, id uuid.UUID, when time.Time) {
	t.Helper()
	if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		t.Errorf("%s has version %d and variant %s", id, id.Version(), id.Variant())
	}
	ms := int64(0)
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	if ms != when.UnixMilli() {
		t.Errorf("%s is of %d ms, want %d", id, ms, when.UnixMilli())
	}
}

func TestNowCanBeFrozen(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	do(t, tx, "set local statek.now = '2030-01-02 03:04:05+00'")
	want := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	if got := one[time.Time](t, tx, "select statek.now()"); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	do(t, tx, "set local statek.now = ''")
	if got := one[time.Time](t, tx, "select statek.now()"); time.Since(got).Abs() > time.Hour {
		t.Errorf("got %s, want the clock", got)
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	for _, test := range []struct {
		ancestor, path string
		want           bool
	}{
		{"/", "/", true}, {"/", "/a/b", true}, {"/a", "/a", true}, {"/a", "/a/b", true},
		{"/a", "/ab", false}, {"/a/b", "/a", false}, {"/a", "/", false}, {"/a_", "/ab/c", false},
	} {
		if got := one[bool](t, tx, "select statek.covers($1, $2)", test.ancestor, test.path); got != test.want {
			t.Errorf("covers(%s, %s): got %v, want %v", test.ancestor, test.path, got, test.want)
		}
	}
}

// TestPartitions: months are UTC's in every session's time zone, follow each other without a gap, and can
// be made again.
func TestPartitions(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	do(t, tx, "set local timezone = 'Europe/Berlin'")
	for range 2 {
		do(t, tx, "select statek.ensure_partitions('2031-02-28 23:30:00+00', 12)")
	}
	rows, err := tx.Query(t.Context(), `select relname::text || ' ' || pg_get_expr(relpartbound, oid) from pg_class
		where relnamespace = 'statek'::regnamespace and relname ~ '^history_203[12]' and relkind = 'r' order by relname`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for m := range 12 {
		from := time.Date(2031, time.Month(2+m), 1, 0, 0, 0, 0, time.UTC)
		want = append(want, "history_"+from.Format("200601")+" FOR VALUES FROM ('"+smallest(from)+"') TO ('"+smallest(from.AddDate(0, 1, 0))+"')")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
	add := "insert into statek.history (job_id, seq, kind, at, payload) values (statek.uuid_at($1), 1, 'submitted', now(), '{}') returning tableoid::regclass::text"
	for at, want := range map[string]string{
		"2031-03-31 23:59:59.999+00": "statek.history_203103",
		"2031-04-01 00:00:00+00":     "statek.history_203104",
		"2051-01-01 00:00:00+00":     "statek.history_default",
	} {
		when, err := time.Parse("2006-01-02 15:04:05.999Z07", at)
		if err != nil {
			t.Fatal(err)
		}
		if got := one[string](t, tx, add, when); got != want {
			t.Errorf("a job of %s is in %s, want %s", at, got, want)
		}
	}
	// A month whose rows are in the default partition already is skipped, with a warning.
	do(t, tx, "select statek.ensure_partitions('2051-01-01 00:00:00+00', 1)")
	if got := one[int64](t, tx, "select count(*) from statek.history_default"); got != 1 {
		t.Errorf("got %d rows in the default partition, want 1", got)
	}
}

func smallest(at time.Time) string {
	id := uuid.UUID{6: 0x70, 8: 0x80}
	ms := at.UnixMilli()
	for i := 5; i >= 0; i-- {
		id[i] = byte(ms)
		ms >>= 8
	}
	return id.String()
}
