package pgtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/queue"
	"statek/migrations"
)

// Migrate makes a database what a program's start makes it: River's tables, then ours.
func Migrate(ctx context.Context, databaseURL string) error {
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("pgtest: open pool: %w", err)
	}
	defer pool.Close()
	if err := queue.Migrate(ctx, pool); err != nil {
		return err
	}
	return migrations.Up(ctx, databaseURL, slog.New(slog.DiscardHandler))
}

func (s *server) template() string { return "statek_template_" + s.key }

// ensureTemplate makes the migrated database that all others are clones of.
func (s *server) ensureTemplate(ctx context.Context) error {
	return s.asAdmin(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "select pg_advisory_lock(hashtext($1))", s.template()); err != nil {
			return fmt.Errorf("pgtest: wait for the template: %w", err)
		}
		// The flag is set last: a half-made template has none.
		var ready bool
		err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1 and datistemplate)",
			s.template()).Scan(&ready)
		if err != nil || ready {
			return err
		}
		for _, sql := range []string{"drop database if exists ", "create database "} {
			if _, err := conn.Exec(ctx, sql+s.template()); err != nil {
				return fmt.Errorf("pgtest: make template: %w", err)
			}
		}
		if err := Migrate(ctx, withDatabase(s.admin, s.template())); err != nil {
			return err
		}
		// Nobody may connect: a clone of a database in use fails.
		_, err = conn.Exec(ctx, "alter database "+s.template()+" with is_template true allow_connections false")
		return err
	})
}

// create makes a database and returns its name, which holds the time for dropStale.
func (s *server) create(ctx context.Context, bare, durable bool) (string, error) {
	s.mu.Lock()
	s.count++
	name := fmt.Sprintf("statek_test_%d_%d_%d", time.Now().Unix(), os.Getpid(), s.count)
	s.mu.Unlock()
	template := s.template()
	if bare {
		template = "template0"
	}
	return name, s.asAdmin(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "create database "+name+" template "+template); err != nil {
			return fmt.Errorf("pgtest: create database: %w", err)
		}
		if !durable {
			return nil
		}
		_, err := conn.Exec(ctx, "alter database "+name+" set synchronous_commit = on")
		return err
	})
}

func (s *server) drop(ctx context.Context, name string) error {
	return s.asAdmin(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "drop database if exists "+name+" with (force)"); err != nil {
			return fmt.Errorf("pgtest: drop database: %w", err)
		}
		return nil
	})
}

// common returns the database of all Tx.
func (s *server) common(ctx context.Context) (string, error) {
	s.mu.Lock()
	name := s.shared
	s.mu.Unlock()
	if name == "" {
		made, err := s.create(ctx, false, false)
		if err != nil {
			return "", err
		}
		s.mu.Lock()
		if s.shared == "" {
			s.shared = made
		}
		name = s.shared
		s.mu.Unlock()
		if name != made { // another test was faster
			if err := s.drop(ctx, made); err != nil {
				return "", err
			}
		}
	}
	return withDatabase(s.admin, name), nil
}

func (s *server) dropShared() error {
	if s.shared == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return s.drop(ctx, s.shared)
}

// dropStale drops the databases of test processes that were killed: older than half an hour and unused.
func (s *server) dropStale(ctx context.Context) error {
	return s.asAdmin(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select datname from pg_database d where datname like 'statek\_test\_%'
			and pg_has_role(d.datdba, 'member') and not exists (select from pg_stat_activity a where a.datname = d.datname)`)
		if err != nil {
			return fmt.Errorf("pgtest: list old databases: %w", err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("pgtest: list old databases: %w", err)
		}
		for _, name := range names {
			made, _, _ := strings.Cut(strings.TrimPrefix(name, "statek_test_"), "_")
			seconds, err := strconv.ParseInt(made, 10, 64)
			if err != nil || time.Since(time.Unix(seconds, 0)) < 30*time.Minute {
				continue
			}
			if _, err := conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()); err != nil {
				return fmt.Errorf("pgtest: drop old database: %w", err)
			}
		}
		return nil
	})
}

func (s *server) asAdmin(ctx context.Context, fn func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.admin)
	if err != nil {
		return fmt.Errorf("pgtest: connect to the server: %w", err)
	}
	return errors.Join(fn(conn), conn.Close(context.WithoutCancel(ctx)))
}

// withDatabase points a DSN, of either form, to another database.
func withDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return dsn + " dbname=" + name // the last one counts
	}
	u.Path = "/" + name
	return u.String()
}
