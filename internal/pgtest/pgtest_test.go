package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"statek/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestDatabasesArePrivateAndMigrated(t *testing.T) {
	t.Parallel()
	a, b := pgtest.DB(t), pgtest.DB(t)
	if _, err := a.Exec(t.Context(), "insert into statek.prefixes (path) values ('/acme')"); err != nil {
		t.Fatal(err)
	}
	var n, jobs int
	err := b.QueryRow(t.Context(), "select (select count(*) from statek.prefixes), (select count(*) from river.river_job)").Scan(&n, &jobs)
	if err != nil {
		t.Fatal(err)
	}
	if n != 0 || jobs != 0 {
		t.Errorf("got %d prefixes and %d River jobs in a new database, want none", n, jobs)
	}
}

func TestTxIsRolledBack(t *testing.T) {
	t.Parallel()
	for range 2 {
		t.Run("insert", func(t *testing.T) {
			tx := pgtest.Tx(t)
			var n int
			if err := tx.QueryRow(t.Context(), "select count(*) from statek.prefixes where path = '/rolled'").Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n != 0 {
				t.Errorf("got %d rows, want none", n)
			}
			if _, err := tx.Exec(t.Context(), "insert into statek.prefixes (path) values ('/rolled')"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("use", func(t *testing.T) {
		if err := pgtest.DB(t).QueryRow(t.Context(), "select current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	var exists bool
	err := pgtest.DB(t).QueryRow(t.Context(), "select exists (select from pg_database where datname = $1)", name).Scan(&exists)
	if err != nil {
		t.Fatal(err)
	}
	if exists {
		t.Errorf("database %s is still there", name)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	var sync string
	var migrated bool
	const ask = "select current_setting('synchronous_commit'), to_regclass('statek.jobs') is not null"
	if err := pgtest.DB(t, pgtest.Bare, pgtest.Durable).QueryRow(t.Context(), ask).Scan(&sync, &migrated); err != nil {
		t.Fatal(err)
	}
	if sync != "on" || migrated {
		t.Errorf("got synchronous_commit %s and migrated %v, want on and false", sync, migrated)
	}
}

func TestProgramsFindNothingToMigrate(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	if err := pgtest.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkDB(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		b.StartTimer()
		conn, err := pgx.Connect(b.Context(), pgtest.URL(b))
		if err != nil {
			b.Fatal(err)
		}
		_ = conn.Close(b.Context())
	}
}
