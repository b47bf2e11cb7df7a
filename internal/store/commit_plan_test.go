package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/pgtest"
)

// TestManyCommitsMeetTheirRowsByHash: the rows of jobs that commit together are read by their key, and found in the arguments by a hash table,
// whatever is known about the table. What the function calls joins as it does alone.
func TestManyCommitsMeetTheirRowsByHash(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool := pgtest.Pool(t, url)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { said = append(said, n.Message) }
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range []struct {
		name string
		make func()
	}{
		{"empty", func() {}},
		{"large and analyzed", func() { pgtest.Plenty(t, pool) }},
		{"large and never analyzed", func() {
			exec("alter table statek.job_state set (autovacuum_enabled = off)")
			exec("delete from pg_statistic where starelid = 'statek.job_state'::regclass")
			exec("update pg_class set reltuples = -1 where oid = 'statek.job_state'::regclass")
		}},
	} {
		state.make()
		said = nil
		conn, err := pgx.ConnectConfig(t.Context(), cfg) // a new one, which has no plans yet
		if err != nil {
			t.Fatal(err)
		}
		explained(t, conn)
		_ = conn.Close(t.Context())
		commit := planOf(said, "update statek.job_state js")
		if !strings.Contains(commit, "Hash Join") || !strings.Contains(commit, "job_state_pkey") || strings.Contains(commit, "Seq Scan on job_state") {
			t.Errorf("%s: the commit's plan is %s", state.name, commit)
		}
		if marks := planOf(said, "insert into statek.dirty"); !strings.Contains(marks, "Nested Loop") || !strings.Contains(marks, "wait_deps_pkey") {
			t.Errorf("%s: the plan of the marks is %s", state.name, marks)
		}
	}
}

// explained has the server tell the plans of a commit for jobs that nobody holds, and of what it calls when jobs end.
func explained(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for _, sql := range []string{
		"load 'auto_explain'", "set auto_explain.log_min_duration = 0", "set auto_explain.log_nested_statements = on", "set client_min_messages = log",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	_, err := conn.Exec(t.Context(), `select statek.commit_jobs($1, $2, '{1,1,1}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
		'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')`, uuid.New(), ids)
	if pg := (*pgconn.PgError)(nil); !errors.As(err, &pg) || pg.Code != "ST001" {
		t.Fatalf("commit = %v, want it fenced", err)
	}
	if _, err := conn.Exec(t.Context(), "set enable_nestloop = off"); err != nil { // as within commit_jobs
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "select statek.mark_fact('{job:x}')"); err != nil {
		t.Fatal(err)
	}
}

// planOf finds the plan of the statement that has a text in it.
func planOf(said []string, text string) string {
	for _, s := range said {
		if _, plan, ok := strings.Cut(s, "\n"); ok && strings.Contains(s, text) && !strings.Contains(s, "Query Text: select") {
			return plan
		}
	}
	return "missing"
}
