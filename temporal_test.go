package statek_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek"
	"statek/internal/pgtest"
)

// program is an embedding program over a database with tasks.
type program struct {
	*statek.Client
	t    *testing.T
	pool *pgxpool.Pool
}

func newProgram(t *testing.T) *program {
	t.Helper()
	url := pgtest.URL(t)
	client, err := statek.Open(t.Context(), statek.Config{DatabaseURL: url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p := &program{Client: client, t: t, pool: pgtest.Pool(t, url)}
	p.exec(`create schema app; create table app.tasks (id bigint generated always as identity primary key, queue text, owner uuid);
		grant usage on schema app to statek_tool; grant select, update on app.tasks to statek_tool`)
	return p
}

func (p *program) exec(sql string, args ...any) {
	p.t.Helper()
	if _, err := p.pool.Exec(p.t.Context(), sql, args...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) work(temporals ...statek.Temporal) (stop func()) {
	p.t.Helper()
	worker, err := statek.NewWorker(p.Client, statek.WorkerConfig{Temporals: temporals, Grace: time.Second})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				p.t.Error(err)
			}
		}
	}
	p.t.Cleanup(stop)
	return stop
}

// run submits a job that runs the code.
func (p *program) run(code string) uuid.UUID {
	p.t.Helper()
	role := "r_" + uuid.NewString()[:8]
	defs := fstest.MapFS{
		"agents/" + role + ".md":        {Data: []byte("# MODEL: any\n# System Prompt\nYou work.\n")},
		"agents/" + role + ".warmup.js": {Data: []byte(code)},
	}
	if err := p.Apply(p.t.Context(), defs, "/"); err != nil {
		p.t.Fatal(err)
	}
	job, err := p.Submit(p.t.Context(), role, statek.Submission{Prefix: "/acme"})
	if err != nil {
		p.t.Fatal(err)
	}
	return job.ID
}

func (p *program) result(id uuid.UUID) string {
	p.t.Helper()
	job, err := p.Wait(p.t.Context(), id, 20*time.Second)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(fmt.Sprint(job.Status, " ", string(job.Result), job.Error, " ", job.BlockedWhy))
}

// is asks the database until the answer is yes.
func (p *program) is(what, sql string, args ...any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	for yes := false; !yes; {
		if err := p.pool.QueryRow(ctx, "select coalesce(("+sql+"), false) from pg_sleep(0.005)", args...).Scan(&yes); err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
	}
}

// nextTask takes a task of a queue, in Go.
func nextTask() statek.Temporal {
	return statek.Temporal{
		Name: "nextTask", Description: "Waits for a task.", Returns: "{id: number}",
		Params:  []statek.TemporalParam{{Name: "queue", Type: "text"}},
		Watches: []statek.Watch{{Table: "app.tasks", Column: "queue"}},
		Condition: func(ctx context.Context, tx statek.Tx, w statek.WaitCall) (ready bool, err error) {
			var queue string
			if err := w.Arg("queue", &queue); err != nil {
				return false, err
			}
			return ready, tx.QueryRow(ctx, "select exists (select from app.tasks where queue = $1 and owner is null)", queue).Scan(&ready)
		},
		Complement: func(ctx context.Context, tx statek.Tx, w statek.WaitCall) (any, bool, error) {
			var queue string
			if err := w.Arg("queue", &queue); err != nil {
				return nil, false, err
			}
			var id int64
			err := tx.QueryRow(ctx, `update app.tasks set owner = $2 where id = (select id from app.tasks where queue = $1 and owner is null
				order by id limit 1 for no key update skip locked) returning id`, queue, w.Job).Scan(&id)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil, false, nil
			}
			return map[string]any{"id": id}, err == nil, err
		},
		Release: func(ctx context.Context, tx statek.Tx, w statek.WaitCall, value json.RawMessage) error {
			var task struct{ ID int64 }
			if err := json.Unmarshal(value, &task); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "update app.tasks set owner = null where id = $1 and owner = $2", task.ID, w.Job)
			return err
		},
	}
}

func (p *program) define(list ...statek.Temporal) {
	p.t.Helper()
	if err := p.DefineTemporals(p.t.Context(), "/", list...); err != nil {
		p.t.Fatal(err)
	}
}

func TestGoTemporalGivesEachTaskToOneJob(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.define(nextTask())
	p.work(nextTask())
	p.work(nextTask())
	ids := make([]uuid.UUID, 6)
	for i := range ids {
		ids[i] = p.run("exit((await nextTask('q')).id)")
	}
	p.is("all wait", "select count(*) = 6 from statek.waits where kind = 'go'")
	p.exec("insert into app.tasks (queue) select case when i <= 6 then 'q' else 'other' end from generate_series(1, 8) i")
	seen := map[string]bool{}
	for _, id := range ids {
		seen[p.result(id)] = true
	}
	if len(seen) != 6 {
		t.Errorf("six jobs got %v", seen)
	}
	p.is("each task belongs to its job", "select count(*) = 6 and count(distinct owner) = 6 from app.tasks where owner is not null")
}

// TestGoTemporalIsLeftToWhoHasIt: a worker without the code neither serves the waiters nor forgets them.
func TestGoTemporalIsLeftToWhoHasIt(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.define(nextTask())
	p.work()
	id := p.run("exit((await nextTask('q')).id)")
	p.is("it waits", "select count(*) = 1 from statek.waits")
	p.exec("insert into app.tasks (queue) values ('q')")
	// The worker without the code has seen the mark, and goes on with others.
	p.is("the mark is taken", "select not exists (select from statek.dirty)")
	if got := p.result(p.run("exit('others go on')")); got != `DONE "others go on"` {
		t.Errorf("got %s", got)
	}
	p.is("it still waits", "select count(*) = 1 and exists (select from statek.wait_checks) from statek.waits")
	p.work(nextTask())
	if got := p.result(id); got != "DONE 1" {
		t.Errorf("got %s", got)
	}
}

func TestGoTemporalExtendsAnother(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	list := []statek.Temporal{nextTask(), {Name: "nextJob", Extends: "nextTask", Description: "Waits for work."}, {Name: "nextThing", Extends: "nextJob"}}
	p.define(list...)
	p.work(list...)
	p.exec("insert into app.tasks (queue) values ('q'), ('q')")
	id := p.run("const a = await nextJob('q'), b = await nextThing({queue: 'q'}); exit([a.id, b.id, docs('nextThing').includes('Waits for work')])")
	if got := p.result(id); got != "DONE [1,2,true]" {
		t.Errorf("got %s", got)
	}
	own := nextTask()
	for name, wrong := range map[string][]statek.Temporal{
		"which is no Temporal": {{Name: "a", Extends: "price"}},
		"of its own":           {nextTask(), {Name: "a", Extends: "nextTask", Condition: own.Condition}},
		"to extend one":        {{Name: "a", Extends: "b"}, {Name: "b", Extends: "a"}},
		"a Condition":          {{Name: "a"}},
	} {
		if err := p.DefineTemporals(t.Context(), "/", wrong...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want … %s …", err, name)
		}
		if _, err := statek.NewWorker(p.Client, statek.WorkerConfig{Temporals: wrong}); err == nil {
			t.Errorf("a worker took %v", wrong)
		}
	}
}

func TestGoTemporalDefinitionsAreChecked(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	for want, change := range map[string]func(*statek.Temporal){
		"built-in":                       func(t *statek.Temporal) { t.Name = "sleep" },
		"must be a JavaScript name":      func(t *statek.Temporal) { t.Name = "next task" },
		"there twice":                    func(t *statek.Temporal) { t.Params = append(t.Params, t.Params[0]) },
		"needs a Postgres type":          func(t *statek.Temporal) { t.Params[0].Type = "" },
		"which cannot be a key":          func(t *statek.Temporal) { t.Params[0].Type = "numeric" },
		"which is no parameter":          func(t *statek.Temporal) { t.Watches[0].Param = "name" },
		"must name a table":              func(t *statek.Temporal) { t.Watches[0].Table = "tasks" },
		"nothing would ever look":        func(t *statek.Temporal) { t.Watches = nil },
		"must be between 1s and 24h":     func(t *statek.Temporal) { t.Recheck = time.Millisecond },
		`relation "app.nosuch" does not`: func(t *statek.Temporal) { t.Watches[0].Table = "app.nosuch" },
		`table app.tasks has no column`:  func(t *statek.Temporal) { t.Watches[0].Column, t.Watches[0].Param = "x", "queue" },
	} {
		def := nextTask()
		change(&def)
		if err := p.DefineTemporals(t.Context(), "/", def); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want … %s …", err, want)
		}
	}
}

// TestGoTemporalThatFailsIsParked: whatever the code does, its group is parked with the error, others go on, and once it
// works again its waiters are served.
func TestGoTemporalThatFailsIsParked(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	for name, tc := range map[string]struct {
		do   func(ctx context.Context, tx statek.Tx) error
		want string
	}{
		"an error":        {func(context.Context, statek.Tx) error { return fmt.Errorf("no luck") }, "no luck"},
		"an SQL error":    {func(ctx context.Context, tx statek.Tx) error { _, err := tx.Exec(ctx, "select 1/0"); return err }, "22012: division by zero"},
		"a swallowed one": {func(ctx context.Context, tx statek.Tx) error { _, _ = tx.Exec(ctx, "select 1/0"); return nil }, "25P02"},
		"a panic":         {func(context.Context, statek.Tx) error { panic("oh dear") }, "panic: oh dear"},
		"open rows": {func(ctx context.Context, tx statek.Tx) error {
			_, err := tx.Query(ctx, "select generate_series(1, 100000)") //nolint:gocritic // that the rows stay open is the point
			return err
		}, "are all rows closed"},
		"no right": {func(ctx context.Context, tx statek.Tx) error {
			_, err := tx.Exec(ctx, "delete from statek.jobs")
			return err
		}, "42501: permission denied for schema statek"},
	} {
		t.Run(name, func(t *testing.T) {
			broken.Store(true)
			p := newProgram(t)
			def := nextTask()
			good := def.Condition
			def.Condition = func(ctx context.Context, tx statek.Tx, w statek.WaitCall) (bool, error) {
				if broken.Load() {
					if err := tc.do(ctx, tx); err != nil {
						return false, err
					}
				}
				return good(ctx, tx, w)
			}
			p.define(def)
			p.work(def)
			p.exec("insert into app.tasks (queue) values ('q')")
			id := p.run("exit((await nextTask('q')).id)")
			p.is("it is parked", "select last_result = 'failed' and last_error like '%' || $1 || '%' from statek.wait_groups where kind = 'go'", tc.want)
			if got := p.result(p.run("await sleep(1); exit('others go on')")); got != `DONE "others go on"` {
				t.Errorf("got %s", got)
			}
			broken.Store(false)
			if got := p.result(id); got != "DONE 1" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestGoTemporalThatTakesTooMuchTakesNothing: a value that no code can be given is not claimed.
func TestGoTemporalThatTakesTooMuchTakesNothing(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	var small atomic.Bool
	def := nextTask()
	take := def.Complement
	def.Complement = func(ctx context.Context, tx statek.Tx, w statek.WaitCall) (any, bool, error) {
		value, ok, err := take(ctx, tx, w)
		if ok && !small.Load() {
			value = strings.Repeat("x", 262143)
		}
		return value, ok, err
	}
	p.define(def)
	p.work(def)
	p.exec("insert into app.tasks (queue) values ('q')")
	id := p.run("exit((await nextTask('q')).id)")
	p.is("it is parked", "select last_error like '%54000: it has 262145 bytes%' from statek.wait_groups where kind = 'go'")
	p.is("the task is free", "select owner is null from app.tasks")
	small.Store(true)
	if got := p.result(id); got != "DONE 1" {
		t.Errorf("got %s", got)
	}
}

func TestGoTemporalGivesBack(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	taken := make(chan struct{}, 1)
	def := nextTask()
	take := def.Complement
	def.Complement = func(ctx context.Context, tx statek.Tx, w statek.WaitCall) (any, bool, error) {
		value, ok, err := take(ctx, tx, w)
		if ok {
			// While the value is on its way, the job is cancelled: its mail is read before the value can be.
			_, err = p.pool.Exec(ctx, "select statek.cancel_job($1, 'enough')", w.Job)
			taken <- struct{}{}
		}
		return value, ok, err
	}
	p.define(def)
	p.work(def)
	id := p.run("await all(nextTask('q'), event('never'))")
	p.is("it waits", "select count(*) = 2 from statek.waits")
	p.exec("insert into app.tasks (queue) values ('q')")
	<-taken
	p.result(id)
	p.is("the task is free", "select owner is null from app.tasks")
	p.is("history tells", "select exists (select from statek.history where kind = 'value_discarded' and payload ->> 'release' = 'done')")
}
