package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"statek/internal/jsvm"
	"statek/internal/queue"
	"statek/internal/store"
)

// Health looks at the database and counts live workers.
func (a *App) Health(ctx context.Context) Health {
	h := Health{Database: "ok"}
	h.Sandbox, h.SandboxMissing = a.sandboxHealth()
	if err := a.store.Ping(ctx); err != nil {
		h.Database = "not available"
		return h
	}
	n, err := a.store.WorkersAlive(ctx)
	if err != nil {
		h.Schema = "missing or older: run statek migrate up"
		return h
	}
	h.Schema, h.Workers, h.Ready = "ok", n, true
	return h
}

// Workers counts live workers.
func (a *App) Workers(ctx context.Context) (int, error) {
	n, err := a.store.WorkersAlive(ctx)
	return n, fail(err, "workers")
}

// Migrate brings the database up to date: River's tables first, because our functions write to them.
func Migrate(ctx context.Context, databaseURL string, logger *slog.Logger) error {
	pool, err := newPool(ctx, databaseURL, 2, "statek migrate", 0, &reach{logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := queue.Migrate(ctx, pool); err != nil {
		return err
	}
	return store.Migrate(ctx, databaseURL, logger)
}

// MigrateDown takes back the last steps migrations of schema statek; a negative number takes back all, and
// River's as well.
func MigrateDown(ctx context.Context, databaseURL string, steps int) error {
	if err := store.MigrateDown(ctx, databaseURL, steps); err != nil || steps >= 0 {
		return err
	}
	pool, err := newPool(ctx, databaseURL, 2, "statek migrate", 0, &reach{logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer pool.Close()
	return queue.MigrateDown(ctx, pool, -1)
}

// MigrationStatus lists the migrations this program knows, oldest first: River's, then ours.
func MigrationStatus(ctx context.Context, databaseURL string) ([]Migration, error) {
	pool, err := newPool(ctx, databaseURL, 2, "statek migrate", 0, &reach{logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	river, err := queue.MigrationStatus(ctx, pool)
	if err != nil {
		return nil, err
	}
	ours, err := store.MigrationStatus(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	list := make([]Migration, 0, len(river)+len(ours))
	for _, m := range river {
		list = append(list, Migration{Schema: queue.Schema, Version: m.Version, Name: m.Name, Applied: m.Applied})
	}
	for _, m := range ours {
		list = append(list, Migration{Schema: "statek", Version: m.Version, Name: m.Name, Applied: m.Applied})
	}
	return list, nil
}

// Migration is one numbered change of a schema.
type Migration struct {
	Schema  string
	Version int
	Name    string
	Applied bool
}

// ErrSchema: the database lacks migrations that this program needs.
var ErrSchema = errors.New("the database schema is older than this program; run: statek migrate up")

// CheckSchema returns ErrSchema when migrations are missing.
func CheckSchema(ctx context.Context, databaseURL string) error {
	list, err := MigrationStatus(ctx, databaseURL)
	if err != nil {
		return err
	}
	for _, m := range list {
		if !m.Applied {
			return fmt.Errorf("%w (missing: %s %d %s)", ErrSchema, m.Schema, m.Version, m.Name)
		}
	}
	return nil
}

// PinUTC makes UTC the time zone of the process, which replays of cells depend on. Call it first in main.
func PinUTC() { jsvm.PinUTC() }
