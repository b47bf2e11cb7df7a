package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// SeqScans counts, for every table of schema statek that has grown, how often it has been read as a whole. It ends all other
// sessions of the database first: only then has the server counted what they did.
func SeqScans(t testing.TB, url string) map[string]int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for left := 1; left > 0; {
		if err := conn.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "select pg_sleep(0.02)"); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := conn.Query(t.Context(), `select s.relname::text, s.seq_scan from pg_stat_user_tables s join pg_class c on c.oid = s.relid
		where s.schemaname = 'statek' and c.relpages > 4`)
	if err != nil {
		t.Fatal(err)
	}
	scans := map[string]int64{}
	var name string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { scans[name] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(scans) < 10 {
		t.Fatalf("only %d tables have grown: %v", len(scans), scans)
	}
	return scans
}
