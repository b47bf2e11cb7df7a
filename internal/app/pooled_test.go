package app_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"statek/internal/app"
	"statek/internal/pgtest"
	"statek/internal/providers"
	"statek/internal/providers/scripted"
)

// TestThroughAPoolerInTransactionMode: everything works through PgBouncer, which drops LISTEN, prepared statements and
// settings; that is found out, or said, and only latency suffers.
func TestThroughAPoolerInTransactionMode(t *testing.T) {
	t.Parallel()
	for name, pollOnly := range map[string]bool{"found out": false, "said": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log lockedText
			k := newPooledKit(t, pollOnly, slog.New(slog.NewTextHandler(&log, nil)))
			k.exec(`create schema app; create table app.tasks (id bigint generated always as identity primary key, queue text, state text default 'ready');
				grant usage on schema app to statek_tool; grant select, update on app.tasks to statek_tool`)
			k.apply(files{
				"temporals/pick.sql": `-- temporal: pick(queue text)
-- watch: app.tasks key queue
-- condition
select 1 from app.tasks where queue = :queue and state = 'ready'
-- complement
update app.tasks set state = 'taken' where id = (select id from app.tasks where queue = :queue and state = 'ready' limit 1 for update skip locked)
returning id
-- release
update app.tasks set state = 'ready' where id = (:value->>'id')::bigint
`,
				"tools/count.sql":         "-- tool: count(queue text)\n-- returns: value\nselect count(*) from app.tasks where queue = :queue",
				"agents/picker.md":        simpleAgent,
				"agents/picker.warmup.js": "const task = await pick(queue)\nconst many = await count(queue)\nawait sleep(20)\nexit({id: task.id, many, said: await message()})",
			})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := app.AwaitSchema(ctx, k.url, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
				t.Fatal(err)
			}
			k.work()
			var jobs []app.Job
			for range 8 {
				jobs = append(jobs, k.submit("picker", map[string]any{"queue": "q"}))
			}
			for _, job := range jobs {
				k.until(job.ID, "SUSPENDED")
			}
			k.exec("insert into app.tasks (queue) select 'q' from generate_series(1, 8)")
			seen := map[int]bool{}
			for _, job := range jobs {
				if err := k.SendMessage(t.Context(), job.ID, json.RawMessage(`"hi"`), ""); err != nil {
					t.Fatal(err)
				}
				var got struct {
					ID, Many int
					Said     string
				}
				if done := k.ended(job.ID); json.Unmarshal(done.Result, &got) != nil || got.Many != 8 || got.Said != "hi" || seen[got.ID] {
					k.dump(job.ID)
					t.Errorf("job ended with %s %s (seen before: %v)", done.Result, done.Error, seen[got.ID])
				}
				seen[got.ID] = true
			}
			if told := strings.Contains(log.String(), "this process polls"); told == pollOnly {
				t.Errorf("said that it polls: %v, want %v; log:\n%s", told, !pollOnly, log.String())
			}
		})
	}
}

// TestDirectConnectionsListen: an ordinary connection is not mistaken for a pooler's.
func TestDirectConnectionsListen(t *testing.T) {
	t.Parallel()
	var log lockedText
	url := pgtest.URL(t)
	a, err := app.Open(t.Context(), app.Config{DatabaseURL: url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Workers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "polls") {
		t.Errorf("a direct connection was taken for a pooler's:\n%s", log.String())
	}
}

func newPooledKit(t *testing.T, pollOnly bool, logger *slog.Logger) *kit {
	t.Helper()
	direct := pgtest.URL(t)
	k := &kit{t: t, url: pgtest.Bouncer(t, direct), pool: pgtest.Pool(t, direct), replies: fstest.MapFS{}}
	a, err := app.Open(t.Context(), app.Config{DatabaseURL: k.url, Logger: logger, MaxConns: 6, PollOnly: pollOnly})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	k.App = a
	running, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(running) }()
	t.Cleanup(func() { stop(); <-done })
	k.reg, err = providers.NewRegistry(map[string]providers.Provider{scripted.Name: scripted.New(k.replies, slog.New(slog.DiscardHandler))}, scripted.Name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// lockedText is a log that several goroutines write.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

var _ io.Writer = (*lockedText)(nil)

// Write implements io.Writer.
func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns what was written.
func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
