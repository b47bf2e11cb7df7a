package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"statek/internal/app"
	"statek/internal/pgtest"
)

func TestMain(m *testing.M) {
	app.SandboxMain()
	pgtest.Main(m)
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	const database = "--database-url=postgres://u@127.0.0.1:1/d"
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no database", nil, 2, "expected --database-url to be the URL of a PostgreSQL database"},
		{"grace", []string{database, "--grace=-1s"}, 2, `expected --grace to be a positive duration such as 20s, got "-1s"`},
		{"too few connections", []string{database, "--conns=5"}, 2, "expected --conns to be at least 6, got 5"},
		{"unknown sandbox", []string{database, "--sandbox=docker"}, 2, `expected --sandbox to be one of strict, best-effort, in-process, got "docker"`},
		{"no children", []string{database, "--sandbox-children=0"}, 2, `expected --sandbox-children to be a whole number of at least 1, got "0"`},
		{"scripted folder", []string{database, "--scripted=/nowhere"}, 2, `expected --scripted to be a folder that exists, got "/nowhere"`},
		{"unknown flag", []string{"--grce", "1s"}, 2, "did you mean --grace?"},
		{"help", []string{"--help"}, 0, "Usage:\n  statek-worker [flags]"},
		{"version", []string{"--version"}, 0, "statek-worker "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if code := run(t.Context(), c.args, nil, &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
				t.Errorf("got exit %d and %q, want %d and %q", code, out.String(), c.code, c.says)
			}
		})
	}
}

// log collects what the program logs.
type log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// until asks again and again, for a while.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	over := time.After(30 * time.Second)
	for !met() {
		select {
		case <-ticker.C:
		case <-over:
			t.Fatalf("after 30 s still not: %s", what)
		}
	}
}

// TestWaitsForTheSchema starts the worker before its database is migrated.
func TestWaitsForTheSchema(t *testing.T) {
	t.Parallel()
	database := pgtest.URL(t, pgtest.Bare)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	health := l.Addr().String()
	_ = l.Close()
	ctx, stop := context.WithCancel(t.Context())
	logged := &log{}
	exited := make(chan int, 1)
	go func() {
		exited <- run(ctx, []string{"--listen-health", health}, []string{"DATABASE_URL=" + database}, io.Discard, logged)
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	ready := func(want int) func() bool {
		return func() bool {
			res, err := client.Get("http://" + health + "/readyz")
			if err != nil {
				return false
			}
			_ = res.Body.Close()
			return res.StatusCode == want
		}
	}
	until(t, "the log names the remedy", func() bool { return strings.Contains(logged.String(), "run statek migrate up") })
	until(t, "it is not ready", ready(503))
	if err := pgtest.Migrate(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	until(t, "it is ready", ready(200))
	stop()
	if code := <-exited; code != 0 {
		t.Errorf("got exit %d after a signal, want 0:\n%s", code, logged)
	}
	for _, line := range []string{"run statek migrate up", "sandbox ready"} {
		if n := strings.Count(logged.String(), line); n != 1 {
			t.Errorf("the log says %q %d times, want once:\n%s", line, n, logged)
		}
	}
}
