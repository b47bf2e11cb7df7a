package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"statek/internal/engine"
	"statek/internal/jobs"
	"statek/internal/jsvm"
	"statek/internal/providers"
	"statek/internal/sim/memstore"
)

// process is one life of a worker: a real engine and its keeper over a session of the database.
type process struct {
	*world
	name     string
	slot     int
	id       uuid.UUID
	ctx      context.Context //nolint:containedctx // the process's life
	kill     context.CancelCauseFunc
	stopping context.CancelFunc
	db       *memstore.Session
	engine   *engine.Engine
	keeper   *engine.Keeper
	offset   time.Duration // of its clock

	// Written by the simulation while nothing else runs, read by the process under world.mu.
	paused bool // stopped by a signal: nothing it asks for goes on
	told   bool // to stop: it takes no new job
	dead   bool // killed: nothing that it still does reaches anybody
	over   bool // its heart has stopped; the slot is free
	rings  []*answering
}

// answering is a doorbell that a process has taken and not yet claimed the job of.
type answering struct {
	job     jobs.ID
	claimed bool
}

// Causes of a process's end.
var (
	errKilled = errors.New("sim: the process was killed")
	errLeft   = errors.New("sim: the process has left")
)

// start brings up a new process in a slot.
func (w *world) start(slot int) {
	w.lives++
	p := &process{world: w, slot: slot, name: fmt.Sprintf("w%d.%d", slot, w.lives), id: w.uuid()}
	p.offset = time.Duration(slot)*7*time.Nanosecond + w.skew()
	now := func() time.Time { return time.Now().Add(p.offset) } //nolint:forbidigo // the bubble's clock
	p.ctx, p.kill = context.WithCancelCause(context.Background())
	stopping, stop := context.WithCancel(context.Background())
	p.stopping = stop
	p.db = w.db.Session(p.gate, now)
	p.engine = engine.New(engine.Config{
		Worker: p.id, Jobs: p.db, Library: p.db, SQL: p.db, Waits: p.db, Machine: w.machine, Providers: p.registry(),
		GoTools: map[string]engine.GoTool{"ping": external{p, false}, "pingOnce": external{p, true}},
		Logger:  slog.New(listener{p}), Now: now, Random: func() uint64 { return w.seed },
		Near:        func(at time.Time) { p.keeper.Near(at.Add(-p.offset)) }, // alarms go by the bubble's clock
		Unavailable: memstore.Unavailable, Concurrent: memstore.Concurrent, ToolSlots: 1000, Places: 1000,
		Limits: jsvm.Limits{},
	}, stopping)
	p.keeper = engine.NewKeeper(engine.Keeper{
		Engine: p.engine, Chores: p.db, Logger: slog.New(listener{p}),
		Dial: func(context.Context) (engine.Pulse, error) { return p.db, nil },
	})
	p.db.Taker = &memstore.Taker{
		Worker: p.id, May: func() bool { return p.engine.Stopping() == nil && p.engine.Room() },
		Taking: p.taking,
	}
	w.outside(func(ctx context.Context, s *memstore.Session) error { return s.Register(ctx, p.id) })
	w.slots[slot] = p
	w.processes = append(w.processes, p)
	w.tell("%s starts", p.name)
	w.group.Go(func() {
		err := p.keeper.Beats(p.ctx)
		if err == nil {
			err = errLeft
		}
		p.kill(err)
		w.mu.Lock()
		defer w.mu.Unlock()
		p.over = true
	})
	w.group.Go(func() { _ = p.keeper.Chore(p.ctx) })
}

// answer gives the process a doorbell.
func (p *process) answer(job jobs.ID) {
	a := &answering{job: job}
	p.mu.Lock()
	p.rings = append(p.rings, a)
	p.mu.Unlock()
	p.group.Go(func() {
		p.engine.Advance(p.ctx, job)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.rings = remove(p.rings, a)
		if !a.claimed {
			p.excused[job] = true // the doorbell is gone and nothing came of it
		}
	})
}

// taking begins with jobs that are being woken, and for the process: they compute up to where they wait.
func (p *process) taking(list []jobs.Record) (told func(got bool)) {
	heads := make([]*engine.Head, len(list))
	for i, rec := range list {
		heads[i] = p.engine.Head(rec)
		p.begin(rec.Job, heads[i], true)
	}
	return func(got bool) {
		for _, head := range heads {
			head.Tell(got)
		}
	}
}

// begin runs the beginning of a job's run, as one that needs no doorbell. compute: its job is not given yet.
func (p *process) begin(job jobs.ID, head *engine.Head, compute bool) {
	begun := &answering{job: job, claimed: true}
	p.mu.Lock()
	p.rings = append(p.rings, begun)
	p.mu.Unlock()
	p.group.Go(func() {
		head.Run(p.ctx, compute)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.rings = remove(p.rings, begun)
	})
}

// gate hands a transaction to the simulation.
func (p *process) gate(ctx context.Context, t memstore.Txn, run func() error) error {
	c := &pending{p: p, what: t.Name, of: t.Of, job: t.Job, txn: t, run: run, ctx: ctx}
	return p.park(c)
}

// external is a tool outside of the database, which counts what is asked of it.
type external struct {
	p    *process
	once bool
}

// Call implements engine.GoTool.
func (x external) Call(ctx context.Context, key string, _ map[string]json.RawMessage) (json.RawMessage, error) {
	err := x.p.park(&pending{p: x.p, what: "external", of: key, ctx: ctx, run: func() error {
		x.p.performed[key]++
		if x.once {
			x.p.once[key] = true
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return json.Marshal("pong " + key)
}

// model answers with the program of the turn.
type model struct{ p *process }

// Name implements providers.Provider.
func (model) Name() string { return "SIM" }

// Complete implements providers.Provider.
func (m model) Complete(ctx context.Context, req providers.Request) (providers.Reply, error) {
	id, err := uuid.Parse(req.Job)
	if err != nil {
		return providers.Reply{}, err
	}
	if err := m.p.park(&pending{p: m.p, what: "model", job: id, of: req.Key, ctx: ctx, run: func() error { return nil }}); err != nil {
		return providers.Reply{}, &providers.Error{Provider: "SIM", Retryable: true, Message: err.Error()}
	}
	plan := m.p.plans[id]
	turn := min(req.Turn, len(plan.turns)) - 1
	return providers.Reply{Text: plan.turns[turn].source()}, nil
}

func (p *process) registry() *providers.Registry {
	r, err := providers.NewRegistry(map[string]providers.Provider{"SIM": model{p}}, "SIM")
	if err != nil {
		p.fail(err)
	}
	return r
}

// listener hears what an engine complains of.
type listener struct{ p *process }

// Enabled implements slog.Handler.
func (listener) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (l listener) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	switch {
	case r.Message == "job paused: it cannot go on", r.Message == "the safety sweep caught lost wake-ups: please report this", strings.HasSuffix(r.Message, " panicked"):
		l.p.fail(fmt.Errorf("%s: %s", l.p.name, text))
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l listener) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l listener) WithGroup(string) slog.Handler { return l }

func remove[T comparable](list []T, x T) []T {
	for i, y := range list {
		if y == x {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}
