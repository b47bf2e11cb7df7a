package pgtest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
)

// Option changes a test database.
type Option int

const (
	// Durable makes commits survive a kill of the server.
	Durable Option = iota + 1
	// Bare leaves the database without any migration.
	Bare
)

// Main runs the tests of a package, stops the server and fails if a goroutine is left.
func Main(m *testing.M, opts ...goleak.Option) {
	code := m.Run()
	if err := process.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: stop the server:", err)
		code = max(code, 1)
	}
	// Docker's client keeps one connection for the clean-up after this process.
	opts = append(opts, goleak.IgnoreAnyFunction("github.com/testcontainers/testcontainers-go.(*Reaper).connect.func1"))
	if err := goleak.Find(opts...); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

// DB is a pool on a private database that is dropped when the test ends.
func DB(t testing.TB, opts ...Option) *pgxpool.Pool {
	t.Helper()
	return Pool(t, URL(t, opts...))
}

// Pool opens a pool that is closed when the test ends; change changes what it is made of.
func Pool(t testing.TB, url string, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatalf("pgtest: read URL: %v", err)
	}
	config.MaxConns = 16
	for _, c := range change {
		c(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("pgtest: open pool: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// URL is the DSN of a private database that is dropped when the test ends.
func URL(t testing.TB, opts ...Option) string {
	t.Helper()
	s := serverFor(t)
	name, err := s.create(t.Context(), slices.Contains(opts, Bare), slices.Contains(opts, Durable))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// t.Context is cancelled by now.
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			t.Error(err)
		}
	})
	return withDatabase(s.admin, name)
}

// Tx is a transaction on a connection of its own, in a database that all Tx share; it is rolled back when
// the test ends. What others commit there is never seen: nobody commits.
func Tx(t testing.TB) pgx.Tx {
	t.Helper()
	s := serverFor(t)
	url, err := s.common(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("pgtest: connect: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = conn.Close(ctx) // rolls back
	})
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatalf("pgtest: begin: %v", err)
	}
	return tx
}

// serverFor starts the process's server on first use.
func serverFor(t testing.TB) *server {
	t.Helper()
	s, err := process.get()
	if err != nil {
		t.Fatalf("pgtest: no database to test with: %v", err)
	}
	return s
}
