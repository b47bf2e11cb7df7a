package queue_test

import (
	"testing"

	"statek/internal/pgtest"
	"statek/internal/queue"
)

func TestMigrateDownAndStatus(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t, pgtest.Bare)
	count := func() (applied int) {
		t.Helper()
		status, err := queue.MigrationStatus(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		if len(status) == 0 {
			t.Fatal("River has no migrations")
		}
		for _, m := range status {
			if m.Applied {
				applied++
			}
		}
		return applied
	}
	if got := count(); got != 0 {
		t.Fatalf("got %d applied migrations in an empty database", got)
	}
	for range 2 {
		if err := queue.Migrate(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
	}
	all := count()
	if err := queue.MigrateDown(t.Context(), pool, 1); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != all-1 {
		t.Errorf("after one step down: got %d applied, want %d", got, all-1)
	}
	if err := queue.MigrateDown(t.Context(), pool, -1); err != nil {
		t.Fatal(err)
	}
	var exists bool
	if err := pool.QueryRow(t.Context(), "select exists (select from pg_namespace where nspname = 'river')").Scan(&exists); err != nil {
		t.Fatal(err)
	}
	if exists || count() != 0 {
		t.Errorf("schema river exists: %v, %d applied, want nothing left", exists, count())
	}
	if err := queue.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != all {
		t.Errorf("after going up again: got %d applied, want %d", got, all)
	}
}
