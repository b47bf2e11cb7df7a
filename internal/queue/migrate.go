package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Schema is the schema of River's tables.
const Schema = "river"

// migrateLock is the advisory lock under which replicas that start together take turns.
const migrateLock = 0x73746174656b7276 // "statekrv"

// Migration is one of River's migrations.
type Migration struct {
	Version int
	Name    string
	Applied bool
}

// Migrate brings River's tables up to this program's version. It runs before store.Migrate: statek.ring
// writes to river.river_job. Replicas that start together take turns, and all succeed.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return migrate(ctx, pool, rivermigrate.DirectionUp, nil)
}

// MigrateDown takes back the last steps migrations; a negative number takes back all and drops the schema.
func MigrateDown(ctx context.Context, pool *pgxpool.Pool, steps int) error {
	opts := &rivermigrate.MigrateOpts{MaxSteps: steps}
	if steps < 0 {
		opts = &rivermigrate.MigrateOpts{TargetVersion: -1}
	}
	if err := migrate(ctx, pool, rivermigrate.DirectionDown, opts); err != nil {
		return err
	}
	if steps >= 0 {
		return nil
	}
	if _, err := pool.Exec(ctx, "drop schema if exists "+Schema); err != nil {
		return fmt.Errorf("queue: drop schema %s: %w", Schema, err)
	}
	return nil
}

// MigrationStatus lists River's migrations, oldest first, and whether each is applied.
func MigrationStatus(ctx context.Context, pool *pgxpool.Pool) ([]Migration, error) {
	m, err := migrator(pool)
	if err != nil {
		return nil, err
	}
	applied := map[int]bool{}
	var exists bool
	if err := pool.QueryRow(ctx, "select to_regclass($1) is not null", Schema+".river_migration").Scan(&exists); err != nil {
		return nil, fmt.Errorf("queue: read migration status: %w", err)
	}
	if exists {
		versions, err := m.ExistingVersions(ctx)
		if err != nil {
			return nil, fmt.Errorf("queue: read migration status: %w", err)
		}
		for _, v := range versions {
			applied[v.Version] = true
		}
	}
	var out []Migration
	for _, v := range m.AllVersions() {
		out = append(out, Migration{Version: v.Version, Name: v.Name, Applied: applied[v.Version]})
	}
	return out, nil
}

// MigrationsHash names the SQL of River's migrations: it changes when they do.
func MigrationsHash() (string, error) {
	m, err := migrator(nil)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, v := range m.AllVersions() {
		fmt.Fprintf(h, "%d %s\n%s\n", v.Version, v.Name, v.SQLUp)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func migrate(ctx context.Context, pool *pgxpool.Pool, dir rivermigrate.Direction, opts *rivermigrate.MigrateOpts) error {
	// River takes no lock. Ours is on a connection of its own, so that a pool of one connection is enough.
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("queue: connect to migrate: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(migrateLock)); err != nil {
		return fmt.Errorf("queue: wait for the migration lock: %w", err)
	}
	if dir == rivermigrate.DirectionUp {
		if _, err := conn.Exec(ctx, "create schema if not exists "+Schema); err != nil {
			return fmt.Errorf("queue: create schema %s: %w", Schema, err)
		}
	}
	m, err := migrator(pool)
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, dir, opts); err != nil {
		return fmt.Errorf("queue: migrate River %s: %w", dir, err)
	}
	return nil
}

func migrator(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: Schema,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("queue: prepare River's migrations: %w", err)
	}
	return m, nil
}
