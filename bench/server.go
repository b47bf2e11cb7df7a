package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"statek/internal/devdb"
)

// server is the PostgreSQL of all contenders.
type server struct {
	db      *devdb.Server
	dir     string
	pid     int
	version string
	count   int
}

func startServer(ctx context.Context) (*server, error) {
	dir, err := os.MkdirTemp("", "statek-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	db, err := devdb.Start(ctx, devdb.Config{Dir: dir, FSync: true, Logger: slog.New(slog.DiscardHandler), Settings: map[string]string{
		"shared_preload_libraries": "pg_stat_statements", "shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min",
		"synchronous_commit": "on",
	}})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &server{db: db, dir: dir}
	if err := s.look(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// look finds the server's first process, whose children are all the others.
func (s *server) look(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(s.db.Dir, "pg", "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("find the server's process (it must run from local binaries, not in a container): %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if s.pid, err = strconv.Atoi(first); err != nil {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	return with(ctx, s.db.URL("postgres"), func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "create extension if not exists pg_stat_statements"); err != nil {
			return fmt.Errorf("count statements: %w", err)
		}
		return conn.QueryRow(ctx, "show server_version").Scan(&s.version)
	})
}

func (s *server) stop() {
	_ = s.db.Stop()
	_ = os.RemoveAll(s.db.Dir)
	_ = os.RemoveAll(s.dir)
}

// database makes an empty one; drop removes it, so that no autovacuum goes on in it.
func (s *server) database(ctx context.Context) (url string, drop func(), err error) {
	s.count++
	name := fmt.Sprintf("bench_%d", s.count)
	if err := s.db.EnsureDatabase(ctx, name); err != nil {
		return "", nil, err
	}
	return s.db.URL(name), func() {
		_ = with(context.WithoutCancel(ctx), s.db.URL("postgres"), func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)")
			return err
		})
	}, nil
}

func (s *server) analyze(ctx context.Context, url string) error {
	return with(ctx, url, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "vacuum analyze")
		return err
	})
}

func with(ctx context.Context, url string, fn func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return fn(conn)
}
