package storetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/engine"
	"statek/internal/jobs"
	"statek/internal/sqldef"
	"statek/internal/temporal"
)

// System is an empty store with one agent, the temporal of [Pick] and the tables of [Schema].
type System struct {
	Jobs   engine.Jobs
	SQL    engine.SQLRunner
	Waits  engine.Waits
	Chores engine.Chores
	World  World
}

// World is everybody else.
type World interface {
	Submit(ctx context.Context, job jobs.ID, ev jobs.Submitted) error
	Put(ctx context.Context, job jobs.ID, kind string, payload json.RawMessage) error
	Emit(ctx context.Context, prefix, name string, key *string, payload json.RawMessage) error
	AddTask(ctx context.Context, queue string) error
	// Register makes a worker known and Leave removes it; Silence makes its last beat an old one.
	Register(ctx context.Context, worker uuid.UUID) error
	Leave(ctx context.Context, worker uuid.UUID) error
	Silence(ctx context.Context, worker uuid.UUID) error
	Beat(ctx context.Context, worker uuid.UUID) (engine.Beat, error)
	// Age makes everything about a job an hour old.
	Age(ctx context.Context, job jobs.ID) error
	// Pass lets time pass for waits, and Now is what they are planned with.
	Pass(d time.Duration)
	Now() time.Time
	// TakeRings takes all doorbells out of the queue, oldest first.
	TakeRings(ctx context.Context) ([]jobs.ID, error)
	History(ctx context.Context, job jobs.ID) ([]jobs.Entry, error)
	// Ledger lists the notes of [Note].
	Ledger(ctx context.Context) ([]string, error)
}

// Prefix is where all jobs live.
const Prefix = "/acme"

// Schema are the tables of the application, for a store that needs them.
const Schema = `
create schema app;
create table app.tasks (id bigint generated always as identity primary key, queue text not null, owner uuid);
create table app.ledger (id bigint generated always as identity primary key, job uuid not null, note text not null check (note <> 'fail'));
grant usage on schema app to statek_tool;
grant select, insert, update on all tables in schema app to statek_tool;
select statek.watch('app.tasks', 'queue');`

const pick = `-- temporal: pick(queue text)
-- watch: app.tasks key queue
-- condition
select 1 from app.tasks where queue = :queue and owner is null
-- complement
update app.tasks set owner = :job_id
where id = (select id from app.tasks where queue = :queue and owner is null order by id limit 1 for no key update skip locked)
returning id, queue
-- release
update app.tasks set owner = null where id = (:value ->> 'id')::bigint and owner = :job_id and queue = :queue
`

// PickID is the temporal's version.
func PickID() uuid.UUID { return uuid.MustParse("01980000-0000-7000-8000-000000000002") }

// Pick claims a task of a queue.
func Pick() (temporal.Definition, error) {
	def, _, err := temporal.ParseDefinition("pick.sql", pick)
	return def, err
}

// Note is a call of the tool that writes to the ledger; it refuses the note "fail".
func Note(job jobs.ID, note string) agents.SQLRun {
	text, _ := json.Marshal(note) // a string
	return agents.SQLRun{
		SQLCall: agents.SQLCall{
			Text: "insert into app.ledger (job, note) values ($1::uuid, $2::text) returning note", Args: []string{"job_id", "note"},
			Params: []sqldef.Param{{Name: "note", Type: "text"}}, Returns: agents.ReturnsValue,
		},
		Values:   map[string]json.RawMessage{"note": text},
		Builtins: map[string]string{"job_id": job.String(), "prefix": Prefix},
		Timeout:  10 * time.Second,
	}
}

// Run tests a store. open makes an empty one.
func Run(t *testing.T, open func(t *testing.T) System) {
	t.Helper()
	for _, cases := range []map[string]func(*kit){ownership, commits, riding, waiting, competing, chores} {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				test(&kit{T: t, ctx: ctx, System: open(t)})
			})
		}
	}
}
