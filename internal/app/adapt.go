package app

import (
	"context"
	"errors"
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

type chores struct{ *store.Store }

// LookAtWaits implements engine.Chores.
func (c chores) LookAtWaits(ctx context.Context) (time.Duration, error) {
	round, err := c.Waits.Tick(ctx)
	return round.RetryIn, err
}

// SweepWaits implements engine.Chores.
func (c chores) SweepWaits(ctx context.Context) (int, error) {
	round, err := c.Waits.Sweep(ctx, 10*time.Minute, 100)
	_, collectErr := c.Waits.Collect(ctx)
	_, objectsErr := c.CollectObjects(ctx)
	return round.Caught, errors.Join(err, collectErr, objectsErr)
}
