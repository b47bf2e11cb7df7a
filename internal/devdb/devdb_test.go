package devdb_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"statek/internal/devdb"
)

func TestMain(m *testing.M) {
	// The test binary runs again as the process that is killed.
	if dir := os.Getenv("DEVDB_TEST_DIR"); dir != "" {
		holdServer(dir)
	}
	goleak.VerifyTestMain(m)
}

// holdServer starts a server, prints its URL and waits to be killed.
func holdServer(dir string) {
	s, err := devdb.Start(context.Background(), config(dir))
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(s.URL("postgres") + "\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func TestDataSurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first := start(t, dir)
	if err := first.EnsureDatabase(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	query(t, first.URL("app"), "create table kept as select 42 as n")
	if err := first.Stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	second := start(t, dir)
	if err := second.EnsureDatabase(t.Context(), "app"); err != nil {
		t.Fatalf("ensure a database that exists: %v", err)
	}
	if got := query(t, second.URL("app"), "select n::text from kept"); got != "42" {
		t.Errorf("got %q, want 42", got)
	}
	if first.URL("app") != second.URL("app") {
		t.Errorf("the URL changed from %s to %s", first.URL("app"), second.URL("app"))
	}
}

func TestPasswordIsNeeded(t *testing.T) {
	t.Parallel()
	s := start(t, folder(t))
	cfg, err := pgx.ParseConfig(s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Password = "wrong"
	if conn, err := pgx.ConnectConfig(t.Context(), cfg); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a wrong password was let in")
	}
	info, err := os.Stat(filepath.Join(s.Dir, "password"))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("password file has mode %v, want 0600", got)
	}
}

func TestSecondProcessJoins(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	owner := start(t, dir)
	guest := start(t, dir)
	if owner.URL("postgres") != guest.URL("postgres") {
		t.Errorf("the guest has another server: %s and %s", owner.URL("postgres"), guest.URL("postgres"))
	}
	if err := guest.Stop(); err != nil {
		t.Fatal(err)
	}
	query(t, owner.URL("postgres"), "select 1::text")
}

func TestServerDiesWithKilledProcess(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "DEVDB_TEST_DIR="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := readLine(t, out)
	query(t, url, "create table kept as select 1 as n")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			break
		}
		_ = conn.Close(ctx)
		select {
		case <-ctx.Done():
			t.Fatal("the server still runs")
		case <-tick.C:
		}
	}
	// The folder is as good as after a Stop.
	if got := query(t, start(t, dir).URL("postgres"), "select n::text from kept"); got != "1" {
		t.Errorf("got %q, want 1", got)
	}
}

func TestStalePidFile(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, dir)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	// Process 1 lives and is not a PostgreSQL server, as after a restart of a container.
	stale := "1\n" + filepath.Join(s.Dir, "pg") + "\n1\n5432\n\n127.0.0.1\n\nready\n"
	if err := os.WriteFile(filepath.Join(s.Dir, "pg", "postmaster.pid"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	query(t, start(t, dir).URL("postgres"), "select 1::text")
}

func TestSeed(t *testing.T) {
	t.Parallel()
	seed := start(t, folder(t))
	query(t, seed.URL("postgres"), "create table seeded as select 7 as n")
	if err := seed.Stop(); err != nil {
		t.Fatal(err)
	}
	cfg := config(folder(t))
	cfg.Seed = seed.Dir
	cfg.Settings = map[string]string{"synchronous_commit": "off"}
	s, err := devdb.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	if got := query(t, s.URL("postgres"), "select n::text || current_setting('synchronous_commit') from seeded"); got != "7off" {
		t.Errorf("got %q, want 7off", got)
	}
}

func TestUnreachableFolder(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as another user")
	}
	closed := filepath.Join(folder(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cfg := config(filepath.Join(closed, "data"))
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := devdb.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Stop()
		_ = os.RemoveAll(s.Dir)
	})
	if strings.HasPrefix(s.Dir, closed) {
		t.Errorf("the data is in %s, which the server's user cannot enter", s.Dir)
	}
	if !strings.Contains(log.String(), s.Dir) {
		t.Errorf("the log does not name %s: %s", s.Dir, log.String())
	}
	query(t, s.URL("postgres"), "select 1::text")
}

func TestErrorShowsLog(t *testing.T) {
	t.Parallel()
	cfg := config(folder(t))
	cfg.Settings = map[string]string{"shared_buffers": "nonsense"}
	s, err := devdb.Start(t.Context(), cfg)
	if err == nil {
		_ = s.Stop()
		t.Fatal("got no error")
	}
	if !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("the error does not show the server's log: %v", err)
	}
}

func config(dir string) devdb.Config {
	return devdb.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
}

// folder is one that another user can enter; t.TempDir's parent is closed to others.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "statek-devdb-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, dir string) *devdb.Server {
	t.Helper()
	s, err := devdb.Start(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

// query runs one statement and returns its first value as text, if it has one.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out string
	for rows.Next() {
		if err := rows.Scan(&out); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func readLine(t *testing.T, r io.Reader) string {
	t.Helper()
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatalf("read the child's line: %v (got %q)", err, line)
		}
		if b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}
