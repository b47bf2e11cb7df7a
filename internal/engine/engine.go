package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/jsvm"
	"statek/internal/providers"
	"statek/internal/temporal"
)

// Jobs is the write path and what a run reads.
type Jobs interface {
	Claim(ctx context.Context, job jobs.ID, worker uuid.UUID, held bool) (jobs.Record, bool, error)
	Commit(ctx context.Context, c jobs.Commit) (released bool, err error)
	Release(ctx context.Context, h jobs.Hold) (bool, error)
	ClearRung(ctx context.Context, h jobs.Hold) error
	HandOver(ctx context.Context, h jobs.Hold) error
	// Vacate empties the seats of a job that was let go, and calls jobs that are parked for them.
	Vacate(ctx context.Context, job jobs.ID) error
	Mail(ctx context.Context, job jobs.ID) ([]jobs.Mail, error)
	// TakeMessage wins a set of waits for its message(); false: another member was faster, or not yet.
	TakeMessage(ctx context.Context, h jobs.Hold, cell, call int) (bool, error)
	CellHistory(ctx context.Context, job jobs.ID, cell int, since int64) ([]jobs.Entry, error)
	ModelHistory(ctx context.Context, job jobs.ID) ([]jobs.Entry, error)
	LastReply(ctx context.Context, job jobs.ID) (jobs.ModelReplied, error)
}

// Library finds definitions.
type Library interface {
	Agent(ctx context.Context, id uuid.UUID) (agents.Definition, error)
	Catalog(ctx context.Context, prefix string) (Catalog, error)
}

// SQLRunner performs SQL tools in the transaction that records their result.
type SQLRunner interface {
	RunTool(ctx context.Context, run agents.SQLRun,
		settle func(value json.RawMessage, fault *jobs.Fault) (jobs.Commit, jobs.Ended, error)) error
	// GiveBack lets temporals release values that no code will see, in the transaction that records it.
	GiveBack(ctx context.Context, job jobs.ID, prefix string, values []temporal.Discard,
		settle func(outcomes []string) (jobs.Commit, jobs.Ended, error)) error
}

// Waits looks at waits right after their registration.
type Waits interface {
	TryNow(ctx context.Context, waits ...temporal.Spec) error
}

// GoTool is a tool of the embedding program. It is an external call: after an interruption it is repeated
// with the same key.
type GoTool interface {
	Call(ctx context.Context, key string, args map[string]json.RawMessage) (json.RawMessage, error)
}

// Catalog is what code may call, besides the built-ins.
type Catalog struct {
	Tools     map[string]agents.Tool
	Temporals map[string]Temporal
	grants    []jsvm.Grant // what a job without shared variables may call
}

// Temporal is one version of an SQL temporal.
type Temporal struct {
	ID  string
	Def temporal.Definition
}

// Config is what an engine is made of.
type Config struct {
	Worker    uuid.UUID
	Jobs      Jobs
	Library   Library
	SQL       SQLRunner
	Objects   Objects
	Waits     Waits
	Machine   jsvm.Machine
	Providers *providers.Registry
	// Turns keeps to the rates of providers. Default: they are not kept to.
	Turns   Turns
	GoTools map[string]GoTool
	Client  *http.Client
	Environ func(string) string
	Logger  *slog.Logger
	// Now is the clock; Random yields seeds and jitter.
	Now    func() time.Time
	Random func() uint64
	// Near is told when a timer is due soon.
	Near func(time.Time)
	// Unavailable reports errors that mean "the database is away": the job is dropped, not blamed.
	Unavailable func(error) bool
	// Concurrent reports errors that mean "another transaction was faster": the same may work again.
	Concurrent func(error) bool
	// ToolSlots bounds the tool transactions open at once, below the pool's size. Default 8.
	ToolSlots int
	// Places bounds the runs that load, replay and compute at once: a crowd that wakes together must not be in memory
	// together. Runs that wait for a tool or a model hold none. Default 64.
	Places int
	// Limits of every cell.
	Limits jsvm.Limits
}

// Engine drives the jobs of one worker.
type Engine struct {
	Config
	slots  chan struct{}
	places chan struct{}
	fresh  *http.Client // for tools that are once
	purse  purse
	riding patienceKept
	cache  catalogs

	desks    [256]turn // by a byte of the job's id
	mu       sync.Mutex
	running  map[jobs.ID]*run
	expected map[jobs.ID]int64 // epochs of jobs that are ours and wait for a place
	reserved int               // places promised to jobs that are being submitted
	stopping context.Context   // ended: hand over at the next good moment
}

// Reasons why a run stops early.
var (
	// ErrShutdown: the worker is told to stop.
	ErrShutdown = errors.New("engine: the worker shuts down")
	// ErrLostContact: no heartbeat got through for too long, so others may be taking over.
	ErrLostContact = errors.New("engine: no contact with the database; the work is given up")
)

// New returns an engine. stopping ends when the worker should hand its jobs over.
func New(cfg Config, stopping context.Context) *Engine {
	if cfg.ToolSlots == 0 {
		cfg.ToolSlots = 8
	}
	if cfg.Places == 0 {
		cfg.Places = 64
	}
	if cfg.Near == nil {
		cfg.Near = func(time.Time) {}
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Transport: http.DefaultTransport}
	}
	e := &Engine{
		Config: cfg, fresh: freshly(cfg.Client), slots: make(chan struct{}, cfg.ToolSlots), places: make(chan struct{}, cfg.Places),
		running: map[jobs.ID]*run{}, expected: map[jobs.ID]int64{}, stopping: stopping,
	}
	for i := range e.desks {
		e.desks[i] = newTurn()
	}
	return e
}

// Advance answers a doorbell: it drives the job until it sleeps or ends, or does nothing when somebody has it.
// It never fails: what goes wrong is logged, and the job is found again by the sweeper. While the worker stops
// a job is claimed only to be handed over, because its doorbell has been taken out of the queue.
func (e *Engine) Advance(ctx context.Context, job jobs.ID) { e.Begin(ctx, job, func() {}) }

// Begin is Advance; held is called when the job needs its doorbell no more: it is this worker's, or has been found somebody else's.
func (e *Engine) Begin(ctx context.Context, job jobs.ID, held func()) {
	defer held() // at the latest
	e.answer(ctx, job, func(work context.Context, expel func()) *run {
		r := e.take(work, job, expel)
		held()
		return r
	})
}

// answer waits for a place and drives what take yields.
func (e *Engine) answer(ctx context.Context, job jobs.ID, take func(work context.Context, expel func()) *run) {
	idle, ok := e.admit(ctx, job)
	if !ok {
		return
	}
	defer idle()
	e.stay(ctx, job, idle, take)
}

// stay drives what take yields, which is nothing when somebody else has the job.
func (e *Engine) stay(ctx context.Context, job jobs.ID, idle func(), take func(work context.Context, expel func()) *run) {
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var r *run
	err := e.guarded(work, "a claim", job, func() error {
		r = take(work, func() { cancel(jobs.ErrFenced) })
		return nil
	})
	if err != nil || r == nil {
		return // what was claimed and does not run is given back
	}
	r.idle = idle
	defer e.vacate(ctx, r)
	defer e.leave(r)
	if err := e.guarded(work, "a run", job, func() error { return r.drive(work) }); err != nil {
		_ = e.guarded(work, "the end of a run", job, func() error { e.settle(work, r, err); return nil }) // its job is given back
	}
}

// Taken runs a job that this worker took at an epoch when it woke it, and has not loaded.
func (e *Engine) Taken(ctx context.Context, job jobs.ID, epoch int64) {
	e.awaitGone(ctx, job, epoch)
	e.Advance(ctx, job)
}

// awaitGone waits for a run that is still in the table although it has let its job go: to claim beside it would only ring
// it, and there can be no other. A younger one was faster, and has the job.
func (e *Engine) awaitGone(ctx context.Context, job jobs.ID, epoch int64) {
	if old := e.held(job); old != nil && old.rec.Epoch < epoch {
		old.gone(ctx)
	}
}

// take claims the job and puts its run into the table; nil when somebody has it. Doorbells of one job take
// turns here: two claims of the same worker would fence each other. expel ends the run should it lose the job.
func (e *Engine) take(ctx context.Context, job jobs.ID, expel func()) *run {
	desk := e.desks[job[len(job)-1]]
	desk.Lock()
	defer desk.Unlock()
	old := e.held(job)
	rec, claimed, err := e.Jobs.Claim(ctx, job, e.Worker, old != nil)
	switch {
	case err != nil:
		e.complain(ctx, "claim failed", job, err)
		return nil
	case !claimed && old != nil:
		old.ring()
		return nil
	case !claimed:
		return nil
	case old != nil:
		// It has let the job go, or lost it: either way it is about to leave.
		old.expel()
		if !old.gone(ctx) {
			e.complain(ctx, "a run that lost its job does not end: some tool ignores its context", job, jobs.ErrFenced)
			if err := e.Jobs.HandOver(ctx, rec.Hold); err != nil {
				e.complain(ctx, "hand-over failed", job, err)
			}
			return nil
		}
	}
	r := newRun(e, rec)
	r.expel = expel
	e.enter(r)
	return r
}

// begin puts a run of a job that is ours already into the table. A doorbell may have come first: a message was sent to it.
func (e *Engine) begin(r *run, expel func()) *run {
	job := r.rec.Job
	desk := e.desks[job[len(job)-1]]
	desk.Lock()
	defer desk.Unlock()
	if e.held(job) != nil {
		return nil
	}
	r.expel = expel
	e.enter(r)
	return r
}

// vacate lets others have the seats of a job that was let go. Should this process die before, the sweeper does it.
func (e *Engine) vacate(ctx context.Context, r *run) {
	if !r.rec.Limited {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := e.Jobs.Vacate(ctx, r.rec.Job); err != nil {
		e.complain(ctx, "vacating failed; the sweeper does it", r.rec.Job, err)
	}
}

// settle ends a run that failed. Most failures say that the job is somebody else's now, or that the
// database is away: then there is nothing to write. A commit refused for good pauses the job, and so does a panic.
func (e *Engine) settle(ctx context.Context, r *run, err error) {
	job := r.rec.Job
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	switch {
	case errors.Is(err, jobs.ErrFenced), errors.Is(err, jobs.ErrUnknownOutcome), errors.Is(err, jsvm.ErrEngine),
		errors.Is(err, jsvm.ErrUnavailable),
		errors.Is(err, ErrLostContact), e.Unavailable(err), e.concurrent(err):
		e.complain(ctx, "job dropped", job, err)
		return
	case errors.Is(err, ErrShutdown) || ctx.Err() != nil:
		giveUp, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := e.Jobs.HandOver(giveUp, r.rec.Hold); err != nil {
			e.complain(ctx, "hand-over failed", job, err)
		}
		return
	}
	e.complain(ctx, "job paused: it cannot go on", job, err)
	rec, claimed, err2 := e.Jobs.Claim(ctx, job, e.Worker, false)
	if err2 != nil || !claimed {
		return
	}
	if rec.Epoch != r.rec.Epoch+1 { // others had it since, and what went wrong here was perhaps only that
		if err := e.Jobs.HandOver(ctx, rec.Hold); err != nil {
			e.complain(ctx, "hand-over failed", job, err)
		}
		return
	}
	fresh := newRun(e, rec)
	if _, err := fresh.apply(jobs.Halted{Reason: "internal error: " + err.Error()}); err != nil {
		_, _ = e.Jobs.Release(ctx, rec.Hold)
		return
	}
	if _, err := fresh.flush(ctx, true); err != nil {
		e.complain(ctx, "pausing failed", job, err)
	}
}

// Expel ends the run of a job at an epoch: the database says that it is no longer ours.
func (e *Engine) Expel(job jobs.ID, epoch int64) {
	if r := e.held(job); r != nil && r.rec.Epoch == epoch {
		r.expel()
	}
}

// Poke makes the run of a job read its mail; false when the job does not run here.
func (e *Engine) Poke(job jobs.ID) bool {
	r := e.held(job)
	if r != nil {
		r.ring()
	}
	return r != nil
}

// Runs reports whether the job is driven here.
func (e *Engine) Runs(job jobs.ID) bool { return e.held(job) != nil }

// Running lists the jobs driven now, and those that wait for a place although they are ours, with their epochs.
func (e *Engine) Running() map[jobs.ID]int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := make(map[jobs.ID]int64, len(e.running)+len(e.expected))
	maps.Copy(m, e.expected)
	for id, r := range e.running {
		m[id] = r.rec.Epoch
	}
	return m
}

// Stopping is not nil when the worker is told to hand its jobs over.
func (e *Engine) Stopping() error { return e.stopping.Err() }

func (e *Engine) held(job jobs.ID) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running[job]
}

func (e *Engine) enter(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.expected, r.rec.Job)
	e.running[r.rec.Job] = r
}

func (e *Engine) leave(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.running, r.rec.Job)
	close(r.left)
}

func (e *Engine) complain(ctx context.Context, what string, job jobs.ID, err error) {
	level := slog.LevelWarn
	if errors.Is(err, jobs.ErrFenced) || errors.Is(err, context.Canceled) {
		level = slog.LevelInfo
	}
	e.Logger.Log(ctx, level, what, slog.String("job_id", job.String()), slog.String("err", err.Error()))
}
