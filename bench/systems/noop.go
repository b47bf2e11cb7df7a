package systems

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/riverqueue/river"

	"statek/bench/contender"
)

// noopSystem is River alone: a job that does nothing. Nothing in it is durable but the job.
type noopSystem struct {
	riverSystem
	next atomic.Int64
}

type noop struct {
	N int64 `json:"n"`
}

// Kind implements river.JobArgs.
func (noop) Kind() string { return "noop" }

type noopWorker struct {
	river.WorkerDefaults[noop]
	system *noopSystem
}

// Work implements river.Worker.
func (w *noopWorker) Work(_ context.Context, job *river.Job[noop]) error {
	w.system.ended(job.Args.N, nil)
	return nil
}

func openNoop(ctx context.Context, databaseURL string) (contender.System, error) {
	pool, err := newPool(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	s := &noopSystem{}
	s.pool = pool
	workers := river.NewWorkers()
	river.AddWorker(workers, &noopWorker{system: s})
	s.client, err = startRiver(ctx, pool, riverTuned, workers)
	return s, err
}

// Job implements contender.System.
func (s *noopSystem) Job(ctx context.Context) error {
	n := s.next.Add(1)
	end := s.expect(n)
	if _, err := s.client.Insert(ctx, noop{N: n}, nil); err != nil {
		return fmt.Errorf("systems: insert a River job: %w", err)
	}
	return await(ctx, end)
}

// Sleeper implements contender.System.
func (s *noopSystem) Sleeper(context.Context) (func(context.Context) error, error) { return nil, nil }
