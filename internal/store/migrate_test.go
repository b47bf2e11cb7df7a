package store_test

import (
	"log/slog"
	"testing"

	"statek/internal/pgtest"
	"statek/internal/store"
)

// What migrations does is tested there; here, that the store's functions reach it.
func TestMigrate(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	last := func() store.Migration {
		t.Helper()
		status, err := store.MigrationStatus(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		return status[len(status)-1]
	}
	if err := store.MigrateDown(t.Context(), url, 1); err != nil {
		t.Fatal(err)
	}
	if got := last(); got.Applied {
		t.Errorf("%s is applied after a step down", got.Name)
	}
	if err := store.Migrate(t.Context(), url, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if got := last(); !got.Applied {
		t.Errorf("%s is not applied after Migrate", got.Name)
	}
}
