package migrations_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/pgtest"
	"statek/migrations"
)

// TestTheEndMovesBothWays: 000062 keeps results in the job's state; its way down puts them back, and refuses what the version
// before could not read, while it still can be mended.
func TestTheEndMovesBothWays(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool := pgtest.Pool(t, url)
	steps := 0 // to the version before 62
	for _, m := range applied(t, url) {
		if m.Version >= 62 {
			steps++
		}
	}
	var done, behind, fresh string
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		done, behind, fresh = newJob(t, tx, "DONE").String(), newJob(t, tx, "STARTED").String(), newJob(t, tx, "READY").String()
		do(t, tx, "update statek.job_state set result = '{\"b\":1,\"a\":2}', finished_at = '2030-01-01Z' where job_id = $1", done)
		do(t, tx, "update statek.job_state set seq = 3 where job_id = $1", behind)
		do(t, tx, "insert into statek.history (job_id, seq, kind, at, payload) values ($1, 1, 'submitted', now(), '{\"blocks\":1}')", fresh)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []struct{ job, says, mend string }{
		{behind, "is behind its history", `update statek.job_state set core = '{"seq":3}' where job_id = $1`},
		{fresh, "warmup", `update statek.jobs set spec = '{"warmup":[{"source":"1"}]}' where id = $1`},
	} {
		err := migrations.Down(t.Context(), url, steps)
		if err == nil || !strings.Contains(err.Error(), refused.says) || !strings.Contains(err.Error(), refused.job) {
			t.Fatalf("got %v, want it refused because job %s %s", err, refused.job, refused.says)
		}
		if err := migrations.Up(t.Context(), url, quiet); err != nil { // the steps above it were taken
			t.Fatal(err)
		}
		exec(t, pool, strings.ReplaceAll(refused.mend, "$1", "'"+refused.job+"'"))
	}
	if err := migrations.Down(t.Context(), url, steps); err != nil {
		t.Fatal(err)
	}
	result := func(table, key string) (got string) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "select result::text || finished_at from statek."+table+" where "+key+" = $1", done).Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	before := result("jobs", "id")
	if err := migrations.Up(t.Context(), url, quiet); err != nil {
		t.Fatal(err)
	}
	if after := result("job_state", "job_id"); after != before || !strings.HasPrefix(after, `{"b":1,"a":2}2030`) {
		t.Errorf("below %s, above %s", before, after)
	}
}

// TestCallsWithResultsMoveBothWays: 000067 keeps a call and its result in one row. People read two facts, whose payloads are those that
// were written, to the byte; and on its way down each gets its row.
func TestCallsWithResultsMoveBothWays(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool := pgtest.Pool(t, url)
	steps := 0
	for _, m := range applied(t, url) {
		if m.Version >= 67 {
			steps++
		}
	}
	const call, result = `{"call":1,"name":"note","class":"tool","args":["\u0000\ud800",-0,{"b":1,"a":"\""}]}`, `{"call":1,"name":"note","value":{"b":[1,2],"a":"\u0000"},"now":7}`
	var job string
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		job = newJob(t, tx, "DONE").String()
		insert := "insert into statek.history (job_id, seq, kind, cell, call, at, payload) values ($1, $2, $3, 1, $4, '2030-01-01 00:00:01Z', $5)"
		do(t, tx, insert, job, 1, "console", 0, `{"lines":["x"]}`)
		do(t, tx, insert, job, 3, "called", 1, "["+call+","+result+",1500000]")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	facts := func(table string) (list []string) {
		t.Helper()
		rows, err := pool.Query(t.Context(), "select concat_ws('|', seq, kind, cell, call, at at time zone 'utc', payload) from statek."+table+" where job_id = $1 order by seq", job)
		if err == nil {
			list, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want := []string{
		`1|console|1|0|2030-01-01 00:00:01|{"lines":["x"]}`, "2|call_issued|1|1|2029-12-31 23:59:59.5|" + call, "3|call_settled|1|1|2030-01-01 00:00:01|" + result,
	}
	if diff := cmp.Diff(want, facts("history_entries")); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		said := []string{"printed: x", `called note("` + "\ufffd\ufffd" + `", 0, {"a": "\"", "b": 1})`, `note returned {"a": "` + "\ufffd" + `", "b": [1, 2]}`}
		if diff := cmp.Diff(said, timeline(t, tx, uuid.MustParse(job))); diff != "" {
			t.Errorf("timeline (-want +got):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := migrations.Down(t.Context(), url, steps); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, facts("history")); diff != "" {
		t.Errorf("rows below (-want +got):\n%s", diff)
	}
	if err := migrations.Up(t.Context(), url, quiet); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, facts("history_entries")); diff != "" {
		t.Errorf("facts again (-want +got):\n%s", diff)
	}
}
