package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
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
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no database", nil, 2, "expected --database-url to be the URL of a PostgreSQL database"},
		{"unknown flag", []string{"--lisen", "x"}, 2, "did you mean --listen?"},
		{"argument", []string{"now"}, 2, `expected no arguments, got "now"`},
		{"password", []string{"--database-url", "mysql://u:secret@h/d"}, 2, `got "mysql://u:xxxxx@h/d"`},
		{"address in use", []string{"--database-url", "postgres://u@127.0.0.1:1/d", "--listen", "127.0.0.1:70000"}, 2, "host:port"},
		{"help", []string{"--help"}, 0, "Usage:\n  statek-api [flags]"},
		{"version", []string{"--version"}, 0, "statek-api "},
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

// TestDatabaseComesAndGoes starts the API before its database, and takes the database away again.
func TestDatabaseComesAndGoes(t *testing.T) {
	t.Parallel()
	database := pgtest.URL(t)
	gate := newGate(t, database)
	ctx, stop := context.WithCancel(t.Context())
	logged := &log{}
	api := freeAddress(t)
	exited := make(chan int, 1)
	go func() {
		exited <- run(ctx, []string{"--listen", api, "--log-format", "json"}, []string{"DATABASE_URL=" + gate.url}, io.Discard, logged)
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	get := func(path string) (int, http.Header) {
		res, err := client.Get("http://" + api + path)
		if err != nil {
			return 0, nil
		}
		_ = res.Body.Close()
		return res.StatusCode, res.Header
	}
	status := func(path string, want int) func() bool {
		return func() bool { got, _ := get(path); return got == want }
	}
	until(t, "the API lives without a database", status("/healthz", 200))
	until(t, "it is not ready", status("/readyz", 503))
	if code, header := get("/v1/jobs"); code != 503 || header.Get("Retry-After") != "1" {
		t.Errorf("got status %d and Retry-After %q without a database, want 503 and 1", code, header.Get("Retry-After"))
	}
	gate.open()
	until(t, "it is ready", status("/readyz", 200))
	until(t, "it serves", status("/v1/jobs", 200))
	gate.shut()
	until(t, "it is not ready again", status("/readyz", 503))
	gate.open()
	until(t, "it has recovered", status("/v1/jobs", 200))
	stop()
	if code := <-exited; code != 0 {
		t.Errorf("got exit %d after a signal, want 0", code)
	}
	if n := strings.Count(logged.String(), "waiting for the database"); n != 1 {
		t.Errorf("the log says %d times that it waits, want once:\n%s", n, logged)
	}
}

// TestOlderSchema says what to run.
func TestOlderSchema(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	logged := &log{}
	exited := make(chan int, 1)
	go func() {
		exited <- run(ctx, []string{"--listen", "127.0.0.1:0", "--database-url", pgtest.URL(t, pgtest.Bare)}, nil, io.Discard, logged)
	}()
	until(t, "the log names the remedy", func() bool { return strings.Contains(logged.String(), "run statek migrate up") })
	stop()
	if code := <-exited; code != 0 {
		t.Errorf("got exit %d, want 0", code)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// gate stands before a database and lets nobody through until it is open.
type gate struct {
	t                    *testing.T
	url, address, behind string

	mu       sync.Mutex // guards the fields below
	listener net.Listener
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

func newGate(t *testing.T, database string) *gate {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, address: freeAddress(t), behind: u.Host, conns: map[net.Conn]bool{}}
	u.Host = g.address
	g.url = u.String()
	t.Cleanup(func() { g.shut(); g.wg.Wait() })
	return g
}

func (g *gate) open() {
	g.t.Helper()
	l, err := net.Listen("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	g.listener = l
	g.mu.Unlock()
	g.wg.Go(func() {
		for {
			outside, err := l.Accept()
			if err != nil {
				return
			}
			inside, err := net.Dial("tcp", g.behind)
			if err != nil {
				_ = outside.Close()
				continue
			}
			g.join(outside, inside)
		}
	})
}

func (g *gate) join(a, b net.Conn) {
	g.mu.Lock()
	g.conns[a], g.conns[b] = true, true
	g.mu.Unlock()
	copyTo := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	g.wg.Go(func() { copyTo(a, b) })
	g.wg.Go(func() { copyTo(b, a) })
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		_ = g.listener.Close()
	}
	for c := range g.conns {
		_ = c.Close()
	}
	clear(g.conns)
}
