package app

import (
	"context"
	"log/slog"
	"slices"

	"github.com/google/uuid"

	"statek/internal/engine"
	"statek/internal/failpoint"
	"statek/internal/jobs"
	"statek/internal/providers"
	"statek/internal/store"
)

// arm wraps what an engine acts through, so that every commit and every call announces itself. Only a worker whose
// environment names who listens is armed; all others have none of the types below.
func (w *Worker) arm(ctx context.Context, cfg *engine.Config, st *store.Store, chores engine.Chores) (engine.Chores, error) {
	w.cfg.Logger.WarnContext(ctx, "FAILPOINTS ARE ARMED: this worker stops at named places until a test lets it go on; unset "+
		failpoint.Variable+" to work normally", slog.String("address", w.cfg.Failpoints))
	st.SetFailpoints(w.points)
	cfg.Jobs = armedJobs{cfg.Jobs, w.points}
	cfg.SQL = armedSQL{cfg.SQL, w.points}
	cfg.Objects = armedObjects{cfg.Objects, w.points}
	cfg.Waits = armedWaits{cfg.Waits, w.points}
	cfg.Turns = armedTurns{cfg.Turns, w.points}
	client := *cfg.Client
	client.Transport = armedTransport{client.Transport, w.points}
	cfg.Client = &client
	byName, rates := map[string]providers.Provider{}, map[string]providers.Rate{}
	for _, name := range cfg.Providers.Names() {
		p, err := cfg.Providers.Lookup(name)
		if err != nil {
			return nil, err
		}
		byName[name], rates[name] = armedProvider{p, w.points}, cfg.Providers.Rate(name)
	}
	registry, err := providers.NewRegistry(byName, cfg.Providers.Default())
	if err != nil {
		return nil, err
	}
	cfg.Providers = registry.WithRates(rates)
	return armedChores{chores, w.points}, nil
}

// pulse is the heartbeat over a connection.
func (w *Worker) pulse(h *store.Heart) engine.Pulse {
	if w.points != nil {
		return armedPulse{pulse{h}, w.points}
	}
	return pulse{h}
}

type armedJobs struct {
	engine.Jobs
	points *failpoint.Points
}

// Claim implements engine.Jobs.
func (j armedJobs) Claim(ctx context.Context, job jobs.ID, worker uuid.UUID, held bool) (jobs.Record, bool, error) {
	j.points.Job(failpoint.ClaimBefore, job)
	rec, claimed, err := j.Jobs.Claim(ctx, job, worker, held)
	if claimed && err == nil {
		j.points.Job(failpoint.ClaimAfter, job)
	}
	return rec, claimed, err
}

// Commit implements engine.Jobs.
func (j armedJobs) Commit(ctx context.Context, c jobs.Commit) (bool, error) {
	before, after := pointsOf(c)
	j.points.Job(before, c.Job)
	released, err := j.Jobs.Commit(ctx, c)
	if err == nil {
		j.points.Job(after, c.Job)
	}
	return released, err
}

// HandOver implements engine.Jobs.
func (j armedJobs) HandOver(ctx context.Context, h jobs.Hold) error {
	j.points.Job(failpoint.HandOverBefore, h.Job)
	err := j.Jobs.HandOver(ctx, h)
	if err == nil {
		j.points.Job(failpoint.HandOverAfter, h.Job)
	}
	return err
}

// ClearRung implements engine.Jobs.
func (j armedJobs) ClearRung(ctx context.Context, h jobs.Hold) error {
	err := j.Jobs.ClearRung(ctx, h)
	if err == nil {
		j.points.Job(failpoint.RungCleared, h.Job)
	}
	return err
}

// Vacate implements engine.Jobs.
func (j armedJobs) Vacate(ctx context.Context, job jobs.ID) error {
	j.points.Job(failpoint.VacateBefore, job)
	return j.Jobs.Vacate(ctx, job)
}

// TakeMessage implements engine.Jobs.
func (j armedJobs) TakeMessage(ctx context.Context, h jobs.Hold, cell, call int) (bool, error) {
	won, err := j.Jobs.TakeMessage(ctx, h, cell, call)
	if won && err == nil {
		j.points.Job(failpoint.MessageTaken, h.Job)
	}
	return won, err
}

// pointsOf names a commit by the most important thing in it.
func pointsOf(c jobs.Commit) (before, after failpoint.Point) {
	has := func(is func(jobs.Event) bool) bool {
		return slices.ContainsFunc(c.Entries, func(e jobs.Entry) bool { return is(e.Event) })
	}
	switch {
	case c.HandOver:
		return failpoint.HandOverBefore, failpoint.HandOverAfter
	case has(func(e jobs.Event) bool { _, ok := e.(jobs.ModelReplied); return ok }):
		return failpoint.ReplyBefore, failpoint.ReplyAfter
	case has(func(e jobs.Event) bool { _, ok := e.(jobs.ModelRequested); return ok }):
		return failpoint.ModelBefore, failpoint.ModelAfter
	case len(c.Waits) > 0:
		return failpoint.WaitsBefore, failpoint.WaitsAfter
	case c.State.Status == jobs.Done:
		return failpoint.EndBefore, failpoint.EndAfter
	case has(func(e jobs.Event) bool { call, ok := e.(jobs.CallIssued); return ok && call.Class == jobs.Tool }):
		return failpoint.IntentBefore, failpoint.IntentAfter
	case c.Release:
		return failpoint.ReleaseBefore, failpoint.ReleaseAfter
	default:
		return failpoint.ProgressBefore, failpoint.ProgressAfter
	}
}
