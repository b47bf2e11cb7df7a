package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	pgxmigrate "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// The table of applied versions is in public, because taking back migration 1 drops schema statek.
const migrationsTable = `"public"."statek_migrations"`

// migrateLock is the advisory lock under which replicas that start together take turns.
const migrateLock = 0x73746174656b6d67 // "statekmg"

// Migration is one numbered change of schema statek.
type Migration struct {
	Version int
	Name    string
	Applied bool
}

// Up applies every migration that the database lacks. River's own (queue.Migrate) must have run before.
// Replicas that start together take turns, and all succeed. A database that is newer than this program is
// left as it is: migrations keep the previous release working.
func Up(ctx context.Context, databaseURL string, logger *slog.Logger) error {
	return withMigrator(ctx, databaseURL, func(m *migrator) error {
		for _, mig := range m.known {
			if mig.Applied {
				continue
			}
			if err := m.step(ctx, 1); err != nil {
				return fmt.Errorf("migrations: apply migration %06d_%s: %w", mig.Version, mig.Name, err)
			}
			logger.InfoContext(ctx, "migration applied", "version", mig.Version, "name", mig.Name)
		}
		if latest := m.known[len(m.known)-1].Version; m.version > latest {
			logger.WarnContext(ctx, "the database is newer than this program", "version", m.version, "known", latest)
		}
		return nil
	})
}

// Down takes back the last steps migrations; a negative number takes back all.
func Down(ctx context.Context, databaseURL string, steps int) error {
	return withMigrator(ctx, databaseURL, func(m *migrator) error {
		for _, mig := range slices.Backward(m.known) {
			if steps == 0 {
				break
			}
			if !mig.Applied {
				continue
			}
			if err := m.step(ctx, -1); err != nil {
				return fmt.Errorf("migrations: take back migration %06d_%s: %w", mig.Version, mig.Name, err)
			}
			steps--
		}
		return nil
	})
}

// migrator is golang-migrate under our lock, stepping one file at a time.
type migrator struct {
	m       *migrate.Migrate
	known   []Migration
	version int // database.NilVersion: none applied
}

// withMigrator runs fn while no other replica migrates.
func withMigrator(ctx context.Context, databaseURL string, fn func(*migrator) error) (err error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return fmt.Errorf("migrations: read database URL: %w", err)
	}
	// golang-migrate's own lock ignores ctx and gives up after 15 s, so ours is taken before.
	lock, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("migrations: connect to migrate: %w", err)
	}
	defer func() { _ = lock.Close(context.WithoutCancel(ctx)) }()
	if _, err := lock.Exec(ctx, "select pg_advisory_lock($1)", int64(migrateLock)); err != nil {
		return fmt.Errorf("migrations: wait for the migration lock: %w", err)
	}
	m, err := newMigrator(stdlib.OpenDB(*config))
	if err != nil {
		return err
	}
	defer func() {
		sourceErr, dbErr := m.m.Close()
		err = errors.Join(err, sourceErr, dbErr)
	}()
	return fn(m)
}

func newMigrator(db *sql.DB) (*migrator, error) {
	driver, err := pgxmigrate.WithInstance(db, &pgxmigrate.Config{
		SchemaName:            "public",
		MigrationsTable:       migrationsTable,
		MigrationsTableQuoted: true,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrations: prepare migrations: %w", err), db.Close())
	}
	source, err := iofs.New(FS, ".")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrations: read migrations: %w", err), driver.Close())
	}
	m, err := migrate.NewWithInstance("iofs", source, "pgx5", driver)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrations: prepare migrations: %w", err), source.Close(), driver.Close())
	}
	out := &migrator{m: m}
	if err := out.load(); err != nil {
		sourceErr, dbErr := m.Close()
		return nil, errors.Join(err, sourceErr, dbErr)
	}
	return out, nil
}

// load reads what there is and what is applied.
func (m *migrator) load() error {
	version, dirty, err := m.m.Version()
	switch {
	case errors.Is(err, migrate.ErrNilVersion):
		m.version = database.NilVersion
	case err != nil:
		return fmt.Errorf("migrations: read migration version: %w", err)
	case dirty:
		return errDirty(version)
	default:
		m.version = int(version)
	}
	m.known, err = knownMigrations(m.version)
	return err
}

// step moves one migration up or down. A file is one transaction: when Postgres refuses it, nothing has
// changed, and the version is put back so that the next start can try again.
func (m *migrator) step(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	before := m.version
	err := m.m.Steps(n)
	if refused := (&pgconn.PgError{}); err != nil && errors.As(cause(err), &refused) {
		return errors.Join(fmt.Errorf("%s: %w", where(err), refused), m.m.Force(before))
	}
	if err != nil {
		return err
	}
	version, _, err := m.m.Version()
	if errors.Is(err, migrate.ErrNilVersion) {
		m.version = database.NilVersion
		return nil
	}
	m.version = int(version)
	return err
}

// cause digs through golang-migrate's error type, which has no Unwrap.
func cause(err error) error {
	if e := (database.Error{}); errors.As(err, &e) {
		return e.OrigErr
	}
	return err
}

// where names the line of the file that failed.
func where(err error) string {
	if e := (database.Error{}); errors.As(err, &e) && e.Line > 0 {
		return "line " + strconv.FormatUint(uint64(e.Line), 10)
	}
	return "refused"
}

// knownMigrations lists the embedded files; those up to version are applied.
func knownMigrations(version int) ([]Migration, error) {
	names, err := fs.Glob(FS, "*.up.sql")
	if err != nil {
		return nil, fmt.Errorf("migrations: list migrations: %w", err)
	}
	var out []Migration
	for _, name := range names {
		number, rest, _ := strings.Cut(strings.TrimSuffix(name, ".up.sql"), "_")
		v, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("migrations: read number of migration %s: %w", name, err)
		}
		out = append(out, Migration{Version: v, Name: rest, Applied: v <= version})
	}
	return out, nil
}
