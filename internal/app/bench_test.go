package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/app"
	"statek/internal/devdb"
	"statek/internal/pgtest"
	"statek/internal/queue"
)

// BenchmarkJobs measures whole jobs beside raw River no-op jobs on the same server, in the same run:
// fsync and synchronous_commit on, 100 in flight. A two-call job is a warmup of three lines that makes two
// transactional SQL calls and exits; an external one leaves the process, so that its intent is committed before it is made. In turn:
// nothing is merged. Figures per job: write transactions (xid difference), statements
// (pg_stat_statements, BEGIN and COMMIT included), WAL bytes.
func BenchmarkJobs(b *testing.B) {
	server, err := devdb.Start(b.Context(), devdb.Config{Dir: b.TempDir(), FSync: true, Logger: slog.New(slog.DiscardHandler), Settings: map[string]string{
		"shared_preload_libraries": "pg_stat_statements", "shared_buffers": "512MB", "max_wal_size": "4GB",
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Stop(); err != nil {
			b.Error(err)
		}
	})
	b.Run("river-noop", func(b *testing.B) { benchRiver(b, benchDatabase(b, server)) })
	b.Run("two-calls", func(b *testing.B) { benchTwoCalls(b, benchDatabase(b, server), "add", inFlight) })
	b.Run("two-calls-in-turn", func(b *testing.B) { benchTwoCalls(b, benchDatabase(b, server), "add", 1) })
	b.Run("two-external-calls", func(b *testing.B) { benchTwoCalls(b, benchDatabase(b, server), "fetch", inFlight) })
	b.Run("two-external-calls-in-turn", func(b *testing.B) { benchTwoCalls(b, benchDatabase(b, server), "fetch", 1) })
}

func benchDatabase(b *testing.B, server *devdb.Server) string {
	b.Helper()
	name := "bench_" + uuid.NewString()[:8]
	if err := server.EnsureDatabase(b.Context(), name); err != nil {
		b.Fatal(err)
	}
	url := server.URL(name)
	if err := pgtest.Migrate(b.Context(), url); err != nil {
		b.Fatal(err)
	}
	return url
}

const inFlight = 100

func benchRiver(b *testing.B, url string) {
	pool := pgtest.Pool(b, url)
	meter := newMeter(b, pool)
	done := make(chan struct{}, inFlight)
	q, err := queue.New(pool, queue.Config{Worker: uuid.New()}, queue.Answers{Job: func(context.Context, uuid.UUID) { done <- struct{}{} }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- q.Run(ctx, time.Second) }()
	defer func() { stop(); <-over }()
	meter.begin()
	closedLoop(b, inFlight, func() error {
		if _, err := pool.Exec(ctx, "select statek.ring(array[$1::uuid], true)", uuid.New()); err != nil {
			return err
		}
		<-done // any job's end will do: what counts is how many end
		return nil
	})
	meter.end()
}

func benchTwoCalls(b *testing.B, url, tool string, most int) {
	pool := pgtest.Pool(b, url)
	quiet := slog.New(slog.DiscardHandler)
	a, err := app.Open(b.Context(), app.Config{DatabaseURL: url, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(a.Close)
	if _, err := pool.Exec(b.Context(), `create schema app; create table app.ledger (id bigint generated always as identity primary key, n int not null);
		grant usage on schema app to statek_tool; grant select, insert on app.ledger to statek_tool`); err != nil {
		b.Fatal(err)
	}
	definitions := fstest.MapFS{
		"agents/adder.md":        {Data: []byte(simpleAgent)},
		"agents/adder.warmup.js": {Data: []byte("const a = await " + tool + "(n)\nconst c = await " + tool + "(a + 1)\nexit(c)\n")},
		"tools/add.sql":          {Data: []byte("-- tool: add(n int)\n-- returns: value\ninsert into app.ledger (n) values (:n) returning n\n")},
	}
	if _, err := a.Apply(b.Context(), definitions, "/"); err != nil {
		b.Fatal(err)
	}
	if err := a.DefineTools(b.Context(), "/", []app.ToolDefinition{{Name: "fetch", Params: []app.ToolParam{{Name: "n", Type: "number"}}}}); err != nil {
		b.Fatal(err)
	}
	w, err := app.NewWorker(a, app.WorkerConfig{Logger: quiet, Tools: map[string]app.GoTool{"fetch": fetch{}}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx) })
	running.Go(func() { _ = w.Run(ctx) })
	defer func() { stop(); running.Wait() }()
	meter := newMeter(b, pool)
	one := func() error {
		job, err := a.Submit(ctx, app.SubmitRequest{Role: "adder", SharedVars: map[string]json.RawMessage{"n": json.RawMessage("1")}})
		if err != nil {
			return err
		}
		job, err = a.WaitJob(ctx, job.ID, time.Minute)
		if err == nil && job.Outcome != "succeeded" {
			err = fmt.Errorf("job %s %s: %s %s", job.ID, job.Status, job.Error, job.BlockedWhy)
		}
		return err
	}
	if err := one(); err != nil { // the worker is up
		b.Fatal(err)
	}
	meter.begin()
	closedLoop(b, most, one)
	meter.end()
}

// closedLoop runs b.N jobs, most at a time.
func closedLoop(b *testing.B, most int, one func() error) {
	b.Helper()
	b.ResetTimer()
	var group sync.WaitGroup
	work := make(chan struct{})
	for range most {
		group.Go(func() {
			for range work {
				if err := one(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// meter reads what the server did.
type meter struct {
	b                *testing.B
	pool             *pgxpool.Pool
	xids, calls, wal float64
}

func newMeter(b *testing.B, pool *pgxpool.Pool) *meter {
	b.Helper()
	if _, err := pool.Exec(b.Context(), "create extension if not exists pg_stat_statements"); err != nil {
		b.Fatal(err)
	}
	return &meter{b: b, pool: pool}
}

func (m *meter) read() (xids, calls, wal float64) {
	m.b.Helper()
	err := m.pool.QueryRow(context.Background(), `select pg_snapshot_xmax(pg_current_snapshot())::text::float8,
		(select coalesce(sum(calls), 0)::float8 from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())),
		pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8`).Scan(&xids, &calls, &wal)
	if err != nil {
		m.b.Fatal(err)
	}
	return xids, calls, wal
}

func (m *meter) begin() { m.xids, m.calls, m.wal = m.read() }

func (m *meter) end() {
	xids, calls, wal := m.read()
	n := float64(m.b.N)
	m.b.ReportMetric((xids-m.xids)/n, "writetx/job")
	m.b.ReportMetric((calls-m.calls)/n, "stmts/job")
	m.b.ReportMetric((wal-m.wal)/n, "walB/job")
}

// fetch stands for a call that leaves the process: it returns its argument.
type fetch struct{}

func (fetch) Call(_ context.Context, _ string, args map[string]json.RawMessage) (json.RawMessage, error) {
	return args["n"], nil
}
