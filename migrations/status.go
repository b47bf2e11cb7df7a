package migrations

import (
	"context"
	"fmt"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
)

// Status lists the embedded migrations, oldest first, and whether each is applied. It waits for a migrator that is at
// work, in one transaction, so that it can be asked through a pooler too.
func Status(ctx context.Context, databaseURL string) ([]Migration, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("migrations: read database URL: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("migrations: connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	version, dirty := database.NilVersion, false
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(migrateLock)); err != nil {
			return fmt.Errorf("migrations: wait for the migration lock: %w", err)
		}
		var exists bool
		if err := tx.QueryRow(ctx, "select to_regclass($1) is not null", migrationsTable).Scan(&exists); err != nil || !exists {
			return err
		}
		return tx.QueryRow(ctx, "select coalesce(max(version), $1), coalesce(bool_or(dirty), false) from "+migrationsTable,
			database.NilVersion).Scan(&version, &dirty)
	})
	if err != nil {
		return nil, fmt.Errorf("migrations: read migration version: %w", err)
	}
	if dirty {
		return nil, errDirty(uint(version))
	}
	return knownMigrations(version)
}

// errDirty says how to go on after a migrator that died.
func errDirty(version uint) error {
	return fmt.Errorf("migrations: a migrator died while it was at migration %d: look whether that migration is in the "+
		"database, then run: update public.statek_migrations set dirty = false (and version = %d if it is not)", version, version-1)
}
