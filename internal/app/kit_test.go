package app_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/app"
	"statek/internal/jsvm"
	"statek/internal/pgtest"
	"statek/internal/providers"
	"statek/internal/providers/scripted"
)

// kit is one App over a private database, with definitions and, when started, workers.
type kit struct {
	*app.App
	t    *testing.T
	url  string
	pool *pgxpool.Pool
	reg  *providers.Registry
	// replies are the scripted provider's files.
	replies fstest.MapFS
	// wire is what the App and its workers connect through, when the test asked for it; pool never does.
	wire *pgtest.Wire
	// machine runs the cells; nil: the default.
	machine jsvm.Machine
}

// files maps paths below the definitions folder, or "replies/<role>.md", to texts.
type files map[string]string

func newKit(t *testing.T, defs files) *kit {
	t.Helper()
	return newKitOn(t, nil, defs)
}

// newKitOn is a kit whose cells a machine runs.
func newKitOn(t *testing.T, m jsvm.Machine, defs files) *kit {
	t.Helper()
	url := pgtest.URL(t)
	return (&kit{t: t, url: url, pool: pgtest.Pool(t, url), machine: m}).open(defs)
}

// newKitThrough is a kit whose App reaches the database through a proxy; m may be nil.
func newKitThrough(t *testing.T, m jsvm.Machine, defs files) *kit {
	t.Helper()
	direct := pgtest.URL(t)
	wire := pgtest.NewWire(t, direct)
	return (&kit{t: t, url: wire.URL(), pool: pgtest.Pool(t, direct), wire: wire, machine: m}).open(defs)
}

func (k *kit) open(defs files) *kit {
	t, url := k.t, k.url
	t.Helper()
	a, err := app.Open(t.Context(), app.Config{DatabaseURL: url, Logger: slog.New(slog.DiscardHandler), MaxConns: 6, Machine: k.machine})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	k.App = a
	running, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(running) }()
	t.Cleanup(func() { stop(); <-done })
	replies := fstest.MapFS{}
	k.replies = replies
	folder := fstest.MapFS{}
	for name, text := range defs {
		if rest, ok := strings.CutPrefix(name, "replies/"); ok {
			replies[rest] = &fstest.MapFile{Data: []byte(text)}
			continue
		}
		folder[name] = &fstest.MapFile{Data: []byte(text)}
	}
	k.reg, err = providers.NewRegistry(map[string]providers.Provider{scripted.Name: scripted.New(replies, slog.New(slog.DiscardHandler))}, scripted.Name)
	if err != nil {
		t.Fatal(err)
	}
	if len(folder) > 0 {
		if _, err := a.Apply(t.Context(), folder, "/"); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// folder is the files as a file system.
func (f files) folder() fstest.MapFS {
	folder := fstest.MapFS{}
	for name, text := range f {
		folder[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return folder
}

// work starts a worker and returns a function that stops it gracefully.
func (k *kit) work(changes ...func(*app.WorkerConfig)) (stop func()) {
	k.t.Helper()
	cfg := app.WorkerConfig{Providers: k.reg, Logger: slog.New(slog.NewTextHandler(k.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Grace: 5 * time.Second}
	for _, change := range changes {
		change(&cfg)
	}
	w, err := app.NewWorker(k.App, cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			k.t.Errorf("worker: %v", err)
		}
	}
	k.t.Cleanup(stop)
	return stop
}

func (k *kit) submit(role string, vars map[string]any) app.Job {
	k.t.Helper()
	shared := map[string]json.RawMessage{}
	for name, v := range vars {
		raw, err := json.Marshal(v)
		if err != nil {
			k.t.Fatal(err)
		}
		shared[name] = raw
	}
	job, err := k.Submit(k.t.Context(), app.SubmitRequest{Role: role, Prefix: "/acme", SharedVars: shared})
	if err != nil {
		k.t.Fatal(err)
	}
	return job
}

// ended waits for the job to end or pause.
func (k *kit) ended(id uuid.UUID) app.Job {
	k.t.Helper()
	job, err := k.WaitJob(k.t.Context(), id, 20*time.Second)
	if err != nil {
		k.t.Fatal(err)
	}
	if job.Status != "DONE" && job.Status != "PAUSED" {
		k.dump(id)
		k.t.Fatalf("job is %s (%s), want it to end", job.Status, job.BlockedWhy)
	}
	return job
}

// until waits for the job to reach a state, following its history.
func (k *kit) until(id uuid.UUID, status string) app.Job {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	for {
		job, err := k.GetJob(ctx, id)
		if err != nil {
			k.t.Fatal(err)
		}
		if job.Status == status {
			return job
		}
		if _, err := k.pool.Exec(ctx, "select pg_sleep(0.005)"); err != nil {
			k.dump(id)
			k.t.Fatalf("job is %s, want %s", job.Status, status)
		}
	}
}

// kinds lists the history as kinds.
func (k *kit) kinds(id uuid.UUID) []string {
	k.t.Helper()
	rows, err := k.History(k.t.Context(), id, 0, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	var kinds []string
	for _, r := range rows {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

// dump logs the history of a job that surprised.
func (k *kit) dump(id uuid.UUID) {
	rows, _ := k.History(context.Background(), id, 0, 0)
	for _, r := range rows {
		k.t.Logf("%3d %-16s %s", r.Seq, r.Kind, r.Payload)
	}
}

// reply is a file of replies.
func reply(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

const simpleAgent = "# MODEL: scripted//test\n# System Prompt\nYou help.\n"
