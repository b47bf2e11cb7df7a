package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/engine"
	"statek/internal/jobs"
	"statek/internal/store"
	"statek/internal/store/storetest"
	"statek/internal/temporal"
)

// TestContract: the store does what a simulation of the engine takes for granted.
func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.System {
		k := newJobsKit(t)
		w := &contractWorld{jobsKit: k}
		k.store = store.New(k.pool, k.bell, w.Now)
		k.exec(storetest.Schema)
		def, err := storetest.Pick()
		k.must(err)
		raw, err := json.Marshal(def)
		k.must(err)
		k.exec("insert into statek.temporals (id, prefix, name, version, hash, definition) values ($1, '/', 'pick', 1, '', $2)", storetest.PickID(), string(raw))
		chores := contractChores{k.store}
		return storetest.System{Jobs: k.store, SQL: k.store, Waits: chores, Chores: chores, World: w}
	})
}

// contractChores says in the store's terms what the engine's interfaces say in their own.
type contractChores struct{ *store.Store }

func (c contractChores) TryNow(ctx context.Context, specs ...temporal.Spec) error {
	var hashes [][]byte
	for _, s := range specs {
		if s.Group != nil {
			hashes = append(hashes, s.Group.Hash())
		}
	}
	_, err := c.Waits.TryNow(ctx, hashes...)
	return err
}

func (c contractChores) LookAround(ctx context.Context) (engine.Around, error) {
	round, pending, err := c.Waits.Tick(ctx)
	return engine.Around{Again: round.RetryIn, Orphans: pending.Orphans, Strays: pending.Strays, Limits: pending.Limits}, err
}

func (c contractChores) LookAtMarks(ctx context.Context) (time.Duration, error) {
	round, err := c.Waits.Drain(ctx)
	return round.RetryIn, err
}

func (c contractChores) SweepWaits(ctx context.Context) (int, error) {
	round, err := c.Waits.Sweep(ctx, 0, 100)
	return round.Caught, err
}

// Prune is no part of the contract: the memory store keeps everything.
func (c contractChores) Prune(ctx context.Context) (bool, error) {
	p, err := c.Store.Prune(ctx)
	return p.More, err
}

type contractWorld struct {
	*jobsKit
	offset atomic.Int64 // added to the clock of waits
}

func (w *contractWorld) Now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

func (w *contractWorld) Pass(d time.Duration) { w.offset.Add(int64(d)) }

func (w *contractWorld) Submit(ctx context.Context, job jobs.ID, ev jobs.Submitted) error {
	draft := w.draft()
	draft.ID, draft.Submitted, draft.Spec.Prefix = job, ev, storetest.Prefix
	_, _, err := w.store.InsertJobs(ctx, []store.NewJob{draft}, false, store.Idempotency{})
	return err
}

func (w *contractWorld) Put(ctx context.Context, job jobs.ID, kind string, payload json.RawMessage) error {
	_, _, err := w.store.Put(ctx, job, kind, payload, uuid.Nil)
	return err
}

func (w *contractWorld) Emit(ctx context.Context, prefix, name string, key *string, payload json.RawMessage) error {
	_, _, err := w.store.Waits.Emit(ctx, store.Fact{Prefix: prefix, Name: name, Key: key, Payload: payload})
	return err
}

func (w *contractWorld) AddTask(ctx context.Context, queue string) error {
	_, err := w.pool.Exec(ctx, "insert into app.tasks (queue) values ($1)", queue)
	return err
}

func (w *contractWorld) heart(ctx context.Context, do func(*store.Heart) error) error {
	conn, err := pgx.Connect(ctx, w.url)
	if err != nil {
		return err
	}
	heart := store.NewHeart(conn)
	return errors.Join(do(heart), heart.Close(ctx))
}

func (w *contractWorld) Register(ctx context.Context, worker uuid.UUID) error {
	return w.heart(ctx, func(h *store.Heart) error {
		return h.Register(ctx, store.Worker{ID: worker, Host: "h", PID: 1, Prefixes: []string{"/"}})
	})
}

func (w *contractWorld) Leave(ctx context.Context, worker uuid.UUID) error {
	return w.heart(ctx, func(h *store.Heart) error { return h.Leave(ctx, worker) })
}

func (w *contractWorld) Silence(ctx context.Context, worker uuid.UUID) error {
	_, err := w.pool.Exec(ctx, "update statek.workers set beat_at = beat_at - interval '1 hour' where id = $1", worker)
	return err
}

func (w *contractWorld) Beat(ctx context.Context, worker uuid.UUID) (beat engine.Beat, err error) {
	return beat, w.heart(ctx, func(h *store.Heart) error {
		tick, err := h.Beat(ctx, worker, engine.DeadAfter)
		beat = engine.Beat(tick)
		return err
	})
}

func (w *contractWorld) Age(ctx context.Context, job jobs.ID) error {
	_, err := w.pool.Exec(ctx, "update statek.job_state set freed_at = freed_at - interval '1 hour' where job_id = $1", job)
	_, err2 := w.pool.Exec(ctx, "update statek.mailbox set created_at = created_at - interval '1 hour' where job_id = $1", job)
	return errors.Join(err, err2)
}

func (w *contractWorld) TakeRings(ctx context.Context) ([]jobs.ID, error) {
	rows, err := w.pool.Query(ctx, `with taken as (delete from river.river_job where state = 'available' returning id, kind, args)
		select x.job::uuid from taken t, lateral (
			select t.args ->> 'job_id' where t.kind = 'doorbell' union all select jsonb_array_elements_text(t.args -> 'job_ids')) x(job)
		order by t.id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[jobs.ID])
}

func (w *contractWorld) History(ctx context.Context, job jobs.ID) ([]jobs.Entry, error) {
	rows, err := w.store.History(ctx, job, 0, 1000)
	if err != nil {
		return nil, err
	}
	entries := make([]jobs.Entry, len(rows))
	for i, r := range rows {
		ev, err := jobs.Decode(r.Kind, r.Payload)
		if err != nil {
			return nil, err
		}
		entries[i] = jobs.Entry{Seq: r.Seq, Cell: int(r.Cell), Call: int(r.Call), At: r.At, Event: ev}
	}
	return entries, nil
}

func (w *contractWorld) Ledger(ctx context.Context) ([]string, error) {
	rows, err := w.pool.Query(ctx, "select note from app.ledger order by id")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
