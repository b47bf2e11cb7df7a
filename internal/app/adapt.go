package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/engine"
	"statek/internal/store"
	"statek/internal/temporal"
)

// The engine declares what it needs in its own terms; these small types say it in the store's.

type library struct{ store *store.Store }

// Agent implements engine.Library.
func (l library) Agent(ctx context.Context, id uuid.UUID) (agents.Definition, error) {
	v, err := l.store.Agent(ctx, id)
	return v.Definition, err
}

// Catalog implements engine.Library.
func (l library) Catalog(ctx context.Context, prefix string) (engine.Catalog, error) {
	c, err := l.store.Catalog(ctx, prefix)
	if err != nil {
		return engine.Catalog{}, err
	}
	out := engine.Catalog{Tools: c.Tools, Temporals: make(map[string]engine.Temporal, len(c.Temporals))}
	for name, t := range c.Temporals {
		out.Temporals[name] = engine.Temporal{ID: t.ID.String(), Def: t.Definition}
	}
	return out, nil
}

type waits struct {
	store *store.Store
	stay  *stay
}

// TryNow implements engine.Waits.
func (w waits) TryNow(ctx context.Context, specs ...temporal.Spec) error {
	var hashes [][]byte
	for _, s := range specs {
		if s.Group != nil {
			hashes = append(hashes, s.Group.Hash())
		}
	}
	round, err := w.store.Waits.TryNow(ctx, hashes...)
	if round.RetryIn > 0 {
		w.stay.keeper.Near(w.stay.engine.Now().Add(round.RetryIn))
	}
	return err
}

type pulse struct{ heart *store.Heart }

// Beat implements engine.Pulse.
func (p pulse) Beat(ctx context.Context, worker uuid.UUID, deadAfter time.Duration) (engine.Beat, error) {
	t, err := p.heart.Beat(ctx, worker, deadAfter)
	return engine.Beat(t), err
}

// Close implements engine.Pulse.
func (p pulse) Close(ctx context.Context) error { return p.heart.Close(ctx) }

// chores are one worker's; only its Keeper calls them, one at a time but for Prune, which shares nothing with the others.
type chores struct {
	*store.Store
	logger      *slog.Logger
	sweep       temporal.Sweep
	failedMarks int64
	told        []store.WatchProblem
}

// LookAround implements engine.Chores.
func (c *chores) LookAround(ctx context.Context) (engine.Around, error) {
	round, pending, err := c.Waits.Tick(ctx)
	return engine.Around{Again: round.RetryIn, Orphans: pending.Orphans, Strays: pending.Strays, Limits: pending.Limits}, err
}

// LookAtMarks implements engine.Chores.
func (c *chores) LookAtMarks(ctx context.Context) (time.Duration, error) {
	round, err := c.Waits.Drain(ctx)
	return round.RetryIn, err
}

// SweepWaits implements engine.Chores. Marks that failed, and finds, make it thorough for a while.
func (c *chores) SweepWaits(ctx context.Context) (int, error) {
	failed, _, err := c.Waits.Alarms(ctx)
	if err != nil {
		return 0, err
	}
	fresh := max(0, failed-c.failedMarks)
	c.failedMarks = failed
	if fresh > 0 {
		c.logger.WarnContext(ctx, "writes could not be marked for waiting jobs: sweeping all of them", slog.Int64("marks", fresh))
		c.sweep = c.sweep.After(temporal.Round{FailedMarks: fresh})
	}
	round, err := c.Waits.Sweep(ctx, c.sweep.Quiet, c.sweep.Most)
	c.sweep = c.sweep.After(temporal.Round{Looked: round.Looks, Caught: round.Caught})
	return round.Caught, err
}

// Tidy implements engine.Chores. What is wrong with the watches is told, too.
func (c *chores) Tidy(ctx context.Context) error {
	err := c.Store.Tidy(ctx)
	_, collectErr := c.Waits.Collect(ctx)
	_, objectsErr := c.CollectObjects(ctx)
	return errors.Join(err, collectErr, objectsErr, c.tellProblems(ctx))
}

// Prune implements engine.Chores.
func (c *chores) Prune(ctx context.Context) (more bool, err error) {
	p, err := c.Store.Prune(ctx)
	if err != nil || p.More {
		return p.More, err
	}
	name, err := c.DropEmptyPartition(ctx)
	if name != "" {
		c.logger.InfoContext(ctx, "dropped a month without jobs", slog.String("table", "statek."+name))
	}
	return name != "", err
}

// tellProblems logs what is wrong with the watches, once until it changes.
func (c *chores) tellProblems(ctx context.Context) error {
	list, err := c.Waits.WatchProblems(ctx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(p store.WatchProblem) bool { return !p.Serious })
	for _, p := range list {
		if !slices.Contains(c.told, p) {
			c.logger.WarnContext(ctx, "a watch misses writes; run statek doctor", slog.String("table", p.Relation), slog.String("problem", p.Problem))
		}
	}
	c.told = list
	return nil
}
