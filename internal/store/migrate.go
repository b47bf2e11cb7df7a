package store

import (
	"context"
	"log/slog"

	"statek/migrations"
)

// Migration is one numbered change of schema statek.
type Migration = migrations.Migration

// Migrate applies every migration of schema statek that the database lacks; queue.Migrate must have run
// before. Replicas that start together take turns, and all succeed.
func Migrate(ctx context.Context, databaseURL string, logger *slog.Logger) error {
	return migrations.Up(ctx, databaseURL, logger)
}

// MigrateDown takes back the last steps migrations; a negative number takes back all.
func MigrateDown(ctx context.Context, databaseURL string, steps int) error {
	return migrations.Down(ctx, databaseURL, steps)
}

// MigrationStatus lists the migrations this program knows, oldest first, and whether each is applied.
func MigrationStatus(ctx context.Context, databaseURL string) ([]Migration, error) {
	return migrations.Status(ctx, databaseURL)
}
