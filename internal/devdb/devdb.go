package devdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoPostgres says that neither binaries nor a Docker engine were found, and what to install.
var ErrNoPostgres = errors.New("devdb: no PostgreSQL found: install it (Debian, Ubuntu: apt-get install postgresql; " +
	"macOS: brew install postgresql@17), or set STATEK_PG_BIN to the folder of its binaries, or start Docker, " +
	"or give the URL of a running server (DATABASE_URL, for tests TEST_DATABASE_URL)")

// Config says where and how.
type Config struct {
	// Dir holds the data, the password and the log of the server. Required with local binaries.
	Dir string
	// Seed is the Dir of a stopped server whose data a new folder starts from. Default: an empty cluster.
	Seed string
	// FSync makes commits survive a crash of the machine. Default: off; a killed server loses nothing either
	// way, unless Settings turns synchronous_commit off.
	FSync bool
	// Settings are further server settings, as in postgresql.conf.
	Settings map[string]string
	// Logger is told where the server is. Default: slog.Default().
	Logger *slog.Logger
}

// Server is a running PostgreSQL.
type Server struct {
	// Dir is where the data is: Config.Dir, unless the server's user cannot reach it. Empty in a container.
	Dir string

	port     int
	password string
	host     string
	stop     func() error
	once     sync.Once
	stopErr  error
}

const (
	// Not "statek": a schema named like the user comes first in the search path, and the tables that an
	// application makes without naming a schema would land among ours.
	superuser   = "postgres"
	startBudget = 60 * time.Second
	// containerBudget has room for fetching the image.
	containerBudget = 5 * time.Minute
)

// Start finds or starts the server of cfg.Dir. ctx bounds the start only: the server lives until Stop or
// until this process ends, so that a cancelled program can still write down what it was doing.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	found, err := findBinaries(ctx)
	if err != nil {
		return nil, err
	}
	budget := startBudget
	if len(found) == 0 {
		budget = containerBudget
	}
	ctx, cancel := context.WithTimeoutCause(ctx, budget, fmt.Errorf("PostgreSQL was not ready after %s", budget))
	defer cancel()
	if len(found) == 0 {
		return newContainer("docker").start(ctx, cfg)
	}
	return startLocal(ctx, cfg, found)
}

// URL is the DSN of one of the server's databases, as its superuser.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     fmt.Sprintf("%s:%d", s.host, s.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// EnsureDatabase creates the database if the server lacks it.
func (s *Server) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("devdb: connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	if e := (&pgconn.PgError{}); errors.As(err, &e) && e.Code == "42P04" { // duplicate_database
		return nil
	}
	if err != nil {
		return fmt.Errorf("devdb: create database %s: %w", name, err)
	}
	return nil
}

// Stop ends the server and waits for it. A server that another process started is left running. It may be
// called more than once.
func (s *Server) Stop() error {
	s.once.Do(func() {
		if s.stop != nil {
			s.stopErr = s.stop()
		}
	})
	return s.stopErr
}

// ping reports whether the server takes connections with our password.
func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// sleep waits, or returns the cause of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
