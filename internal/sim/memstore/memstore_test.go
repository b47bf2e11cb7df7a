package memstore_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/engine"
	"statek/internal/jobs"
	"statek/internal/sim/memstore"
	"statek/internal/store/storetest"
)

// TestMemory: the database of the simulation means what Postgres means.
func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.System {
		w := &world{}
		w.Session = memstore.New(w.Now, agent, agents.Definition{Role: "a"}, engine.Catalog{}).Session(nil, w.Now)
		return storetest.System{Jobs: w.Session, SQL: w.Session, Waits: w.Session, Chores: w.Session, World: w}
	})
}

var agent = uuid.MustParse("01980000-0000-7000-8000-000000000001")

type world struct {
	*memstore.Session
	offset atomic.Int64
}

func (w *world) Now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

func (w *world) Pass(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) Submit(ctx context.Context, job jobs.ID, ev jobs.Submitted) error {
	return w.Session.Submit(ctx, job, jobs.Spec{Prefix: storetest.Prefix, Role: "a", AgentID: agent, AgentVersion: 1}, ev)
}

func (w *world) Put(ctx context.Context, job jobs.ID, kind string, payload json.RawMessage) error {
	_, err := w.Session.Put(ctx, job, kind, payload)
	return err
}

func (w *world) Emit(ctx context.Context, prefix, name string, key *string, payload json.RawMessage) error {
	_, err := w.Session.Emit(ctx, prefix, name, key, payload)
	return err
}

func (w *world) Beat(ctx context.Context, worker uuid.UUID) (engine.Beat, error) {
	return w.Session.Beat(ctx, worker, engine.DeadAfter)
}

func (w *world) Silence(_ context.Context, worker uuid.UUID) error {
	w.DB.Silence(worker)
	return nil
}

func (w *world) Age(_ context.Context, job jobs.ID) error {
	w.DB.Age(job)
	return nil
}

func (w *world) TakeRings(context.Context) (list []jobs.ID, err error) {
	for range w.Doorbells() {
		list = append(list, w.TakeDoorbell(0).Job)
	}
	return list, nil
}

func (w *world) History(_ context.Context, job jobs.ID) ([]jobs.Entry, error) {
	return w.DB.History(job)
}

func (w *world) Ledger(context.Context) (notes []string, err error) {
	for _, e := range w.DB.Ledger() {
		notes = append(notes, e.Note)
	}
	return notes, nil
}
