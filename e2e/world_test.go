package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/app"
	"statek/internal/httpapi"
	"statek/internal/pgtest"
	"statek/internal/providers/providertest"
)

// What no process may ever write.
const (
	modelKey   = "model-key-4711"
	toolSecret = "tool-secret-0815"
)

// files maps paths below a definitions folder to texts.
type files map[string]string

// modelAgent asks the model service of the test.
const modelAgent = "# MODEL: local//m\n# System Prompt\nYou help.\n\n--- TOOLS ---\n{tools}\n"

// ledger is the application's own table, and the tool and the temporal that write to and wait for it.
const ledgerSchema = `
create schema app;
create table app.ledger (id bigint generated always as identity primary key, job_id uuid not null, note text not null);
create table app.tasks (id bigint generated always as identity primary key, queue text not null, subject text not null,
  state text not null default 'open', taken_by uuid);
create index on app.tasks (queue, id) where state = 'open';
grant usage on schema app to statek_tool;
grant select, insert on app.ledger to statek_tool;
grant select, update on app.tasks to statek_tool`

func ledger(more files) files {
	f := files{
		"tools/note.sql": "-- tool: note(text text)\n-- Writes one line into the ledger.\n-- returns: one\n" +
			"insert into app.ledger (job_id, note) values (:job_id, :text) returning note\n",
		"tools/charge.http.yaml": "tool: charge\ndescription: Charges an amount.\nmethod: POST\nurl: http://${TOOL_HOST}/charge\n" +
			"headers:\n  Authorization: Bearer ${TOOL_SECRET}\nparams:\n  - name: amount\n    type: number\n",
		"temporals/pickNextTask.sql": `-- temporal: pickNextTask(queue text)
-- watch: app.tasks key queue
-- condition
select exists (select from app.tasks where queue = :queue and state = 'open')
-- complement
update app.tasks set state = 'taken', taken_by = :job_id
where id = (select id from app.tasks where queue = :queue and state = 'open' order by id limit 1 for no key update skip locked)
returning id, subject
-- release
update app.tasks set state = 'open', taken_by = null where id = (:value->>'id')::bigint
`,
	}
	for name, text := range more {
		f[name] = text
	}
	return f
}

// world is one deployment.
type world struct {
	t     testing.TB
	url   string // of the database
	pool  *pgxpool.Pool
	model *providertest.Server
	tools *toolService
	env   []string // of the workers
	api   *process
	base  string // URL of the API
	rest  *httpapi.Client
}

// newWorld is a migrated database with the ledger and the definitions, and an API.
func newWorld(t testing.TB, defs files) *world {
	t.Helper()
	w := newBareWorld(t, pgtest.URL(t))
	w.prepare(defs)
	return w
}

func newBareWorld(t testing.TB, database string) *world {
	t.Helper()
	w := &world{t: t, url: database, pool: pgtest.Pool(t, database), model: providertest.NewServer(t), tools: newToolService(t)}
	w.env = []string{
		"LOCAL_API_URL=" + w.model.URL(), "LOCAL_API_KEY=" + modelKey,
		"TOOL_HOST=" + w.tools.host(), "TOOL_SECRET=" + toolSecret,
	}
	return w
}

// prepare makes the application's tables, applies the definitions as an operator does, and starts the API.
func (w *world) prepare(defs files) {
	w.t.Helper()
	w.sql(ledgerSchema)
	if len(defs) > 0 {
		w.statek(0, "apply", folder(w.t, defs))
	}
	w.startAPI()
}

func (w *world) startAPI() {
	w.t.Helper()
	w.api = w.start("statek-api", nil, "--listen", "127.0.0.1:0")
	w.base = "http://" + w.api.logged("API listens")["address"].(string)
	var err error
	if w.rest, err = httpapi.NewClient(w.base); err != nil {
		w.t.Fatal(err)
	}
}

// start runs a program on the world's database. Its output is searched for secrets when the test ends.
func (w *world) start(name string, env []string, args ...string) *process {
	w.t.Helper()
	p := start(w.t, name, append([]string{"DATABASE_URL=" + w.url}, env...), args...)
	w.t.Cleanup(func() { // before the kill, which comes last in, first out
		p.kill()
		w.discreet(p.name, p.out.String())
	})
	return p
}

func (w *world) discreet(name, wrote string) {
	w.t.Helper()
	secrets := []string{modelKey, toolSecret}
	if u, err := url.Parse(w.url); err == nil {
		if password, ok := u.User.Password(); ok {
			secrets = append(secrets, password)
		}
	}
	for _, secret := range secrets {
		if strings.Contains(wrote, secret) {
			w.t.Errorf("%s wrote a secret", name)
		}
	}
}

// statek runs the command line against the world.
func (w *world) statek(want int, args ...string) string {
	w.t.Helper()
	out := run(w.t, want, "statek", []string{"DATABASE_URL=" + w.url, "STATEK_URL=" + w.base, "STATEK_DATA=" + w.t.TempDir()}, args...)
	w.discreet("statek", out)
	return out
}

// worker is a statek-worker that has begun to work.
type worker struct {
	*process
	id uuid.UUID
}

func (w *world) worker(args ...string) *worker {
	w.t.Helper()
	p := &worker{process: w.start("statek-worker", w.env, args...)}
	p.begun()
	return p
}

// begun waits for the next life of the worker and takes its id.
func (p *worker) begun() {
	p.t.Helper()
	id, err := uuid.Parse(p.logged("worker started")["worker"].(string))
	if err != nil {
		p.t.Fatal(err)
	}
	p.id = id
}

// holder sorts two workers: who owns the job, and who does not.
func (w *world) holder(job uuid.UUID, a, b *worker) (owner, other *worker) {
	w.t.Helper()
	switch id := query[*uuid.UUID](w, "select owner from statek.job_state where job_id = $1", job); {
	case id != nil && *id == a.id:
		return a, b
	case id != nil && *id == b.id:
		return b, a
	default:
		w.t.Fatalf("job is owned by %v, want one of %s and %s", id, a.id, b.id)
		return nil, nil
	}
}

func (w *world) submit(role string, vars map[string]any) uuid.UUID {
	w.t.Helper()
	shared := map[string]json.RawMessage{}
	for name, v := range vars {
		raw, err := json.Marshal(v)
		if err != nil {
			w.t.Fatal(err)
		}
		shared[name] = raw
	}
	job, err := w.rest.Submit(w.t.Context(), role, "", httpapi.Submission{Source: "e2e", SharedVars: shared})
	if err != nil {
		w.t.Fatal(err)
	}
	return job.ID
}

// ended waits for the job to be done, and wants this result.
func (w *world) ended(id uuid.UUID, result string) app.Job {
	w.t.Helper()
	job, err := w.rest.Job(w.t.Context(), id, patience)
	if err != nil {
		w.t.Fatal(err)
	}
	if job.Status != "DONE" || string(job.Result) != result {
		w.dump(id)
		w.t.Fatalf("job is %s %s with %s (%s%s), want DONE with %s", job.Status, job.Outcome, job.Result, job.Error, job.BlockedWhy, result)
	}
	return job
}

var errReached = errors.New("reached")

// reach follows the job's history until the n-th row of a kind.
func (w *world) reach(id uuid.UUID, kind string, n int) app.HistoryRow {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	var found app.HistoryRow
	err := w.rest.Follow(ctx, id, 0, func(row app.HistoryRow) error {
		if row.Kind == kind {
			n--
			found = row
		}
		if n == 0 {
			return errReached
		}
		return nil
	})
	if !errors.Is(err, errReached) {
		w.dump(id)
		w.t.Fatalf("waiting for %s: %v", kind, err)
	}
	return found
}

func (w *world) history(id uuid.UUID) []app.HistoryRow {
	w.t.Helper()
	page, err := w.rest.History(w.t.Context(), id, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return page.History
}

// count counts the rows of a kind.
func count(rows []app.HistoryRow, kind string) int {
	n := 0
	for _, row := range rows {
		if row.Kind == kind {
			n++
		}
	}
	return n
}

func (w *world) dump(id uuid.UUID) {
	w.t.Helper()
	page, _ := w.rest.History(context.Background(), id, 0)
	for _, r := range page.History {
		w.t.Logf("%3d %s %-16s %s", r.Seq, r.At.Format("05.000"), r.Kind, r.Text)
	}
}

// until asks the database until it says yes; the database does the pausing.
func (w *world) until(what, condition string, args ...any) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		var yes bool
		if err := w.pool.QueryRow(ctx, "select ("+condition+") from pg_sleep(0.01)", args...).Scan(&yes); err != nil {
			w.t.Fatalf("waiting until %s: %v", what, err)
		}
		if yes {
			return
		}
	}
}

func (w *world) asleep(ids ...uuid.UUID) {
	w.t.Helper()
	w.until("the jobs sleep", "select count(*) = cardinality($1::uuid[]) from statek.job_state where job_id = any($1) and status = 'SUSPENDED' and owner is null", ids)
}

func (w *world) sql(statement string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), statement, args...); err != nil {
		w.t.Fatal(err)
	}
}

// query returns the one value of a statement. It also works while a test cleans up.
func query[T any](w *world, statement string, args ...any) T {
	w.t.Helper()
	var v T
	if err := w.pool.QueryRow(context.WithoutCancel(w.t.Context()), statement, args...).Scan(&v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

// table returns rows as lines.
func (w *world) table(statement string) []string {
	w.t.Helper()
	rows, err := w.pool.Query(context.WithoutCancel(w.t.Context()), statement)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		for i, v := range values {
			if id, ok := v.([16]byte); ok {
				values[i] = uuid.UUID(id)
			}
		}
		return strings.TrimSuffix(fmt.Sprintln(values...), "\n"), err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

// folder writes definitions to disk.
func folder(t testing.TB, defs files) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range defs {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func lookup(name string) string { return os.Getenv(name) }

// arrives waits for what a channel announces.
func arrives[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s has not come within %s", what, patience)
		panic("unreachable")
	}
}

// kinds lists the history as kinds.
func (w *world) kinds(id uuid.UUID) []string {
	w.t.Helper()
	var kinds []string
	for _, row := range w.history(id) {
		kinds = append(kinds, row.Kind)
	}
	return kinds
}
