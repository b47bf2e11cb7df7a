package systems

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"statek/bench/contender"
)

// riverPace is how often River fetches jobs.
type riverPace struct{ cooldown, poll time.Duration }

var (
	riverDefault = riverPace{river.FetchCooldownDefault, river.FetchPollIntervalDefault}
	riverTuned   = riverPace{10 * time.Millisecond, river.FetchPollIntervalDefault}
)

// riverSystem is durable work as one writes it by hand on River: each step is a transaction together with its row in a
// journal, the last one together with the completion of the job, and a job that is tried again reads the journal first.
type riverSystem struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	next   atomic.Int64
	ends   sync.Map // job number → chan error: the caller is in this process and need not ask the database
}

const journal = `create table app.journal (job bigint not null, step int not null, result int not null, primary key (job, step))`

// twoSteps is a job of two steps; with After, only the one that follows an event.
type twoSteps struct {
	N     int64 `json:"n"`
	After bool  `json:"after"`
}

// Kind implements river.JobArgs.
func (twoSteps) Kind() string { return "two_steps" }

type twoStepsWorker struct {
	river.WorkerDefaults[twoSteps]
	system *riverSystem
}

// Work implements river.Worker.
func (w *twoStepsWorker) Work(ctx context.Context, job *river.Job[twoSteps]) error {
	err := w.system.work(ctx, job)
	w.system.ended(job.Args.N, err)
	return err
}

func (s *riverSystem) work(ctx context.Context, job *river.Job[twoSteps]) error {
	if done, err := s.journalled(ctx, job); err != nil {
		return err
	} else if !job.Args.After && !done {
		if err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if err := step(ctx, tx, 1); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "insert into app.journal (job, step, result) values ($1, 1, 1)", job.ID)
			return err
		}); err != nil {
			return fmt.Errorf("systems: first step: %w", err)
		}
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := step(ctx, tx, 2); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
}

// journalled reports whether an earlier attempt did the first step. A first attempt need not ask.
func (s *riverSystem) journalled(ctx context.Context, job *river.Job[twoSteps]) (done bool, err error) {
	if job.Attempt > 1 {
		err = s.pool.QueryRow(ctx, "select exists (select from app.journal where job = $1 and step = 1)", job.ID).Scan(&done)
	}
	return done, err
}

func openRiver(pace riverPace) Open {
	return func(ctx context.Context, databaseURL string) (contender.System, error) {
		pool, err := newPool(ctx, databaseURL)
		if err != nil {
			return nil, err
		}
		if _, err := pool.Exec(ctx, journal); err != nil {
			return nil, fmt.Errorf("systems: make the journal: %w", err)
		}
		s := &riverSystem{pool: pool}
		workers := river.NewWorkers()
		river.AddWorker(workers, &twoStepsWorker{system: s})
		s.client, err = startRiver(ctx, pool, pace, workers)
		return s, err
	}
}

func startRiver(ctx context.Context, pool *pgxpool.Pool, pace riverPace, workers *river.Workers) (*river.Client[pgx.Tx], error) {
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet()})
	if err != nil {
		return nil, fmt.Errorf("systems: prepare River's migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("systems: migrate River: %w", err)
	}
	client, err := river.NewClient(driver, &river.Config{
		FetchCooldown: pace.cooldown, FetchPollInterval: pace.poll, Logger: quiet(),
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}}, Workers: workers,
	})
	if err != nil {
		return nil, fmt.Errorf("systems: open River: %w", err)
	}
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("systems: start River: %w", err)
	}
	return client, nil
}

// Job implements contender.System.
func (s *riverSystem) Job(ctx context.Context) error {
	n := s.next.Add(1)
	end := s.expect(n)
	if _, err := s.client.Insert(ctx, twoSteps{N: n}, nil); err != nil {
		return fmt.Errorf("systems: insert a River job: %w", err)
	}
	return await(ctx, end)
}

// Sleeper implements contender.System. River has no waits; by hand, what was waited for inserts the job that goes on. So
// nothing sleeps, and nothing is kept for a sleeper.
func (s *riverSystem) Sleeper(context.Context) (func(context.Context) error, error) {
	n := s.next.Add(1)
	end := s.expect(n)
	return func(ctx context.Context) error {
		if _, err := s.client.Insert(ctx, twoSteps{N: n, After: true}, nil); err != nil {
			return fmt.Errorf("systems: insert a River job: %w", err)
		}
		return await(ctx, end)
	}, nil
}

func (s *riverSystem) expect(n int64) <-chan error {
	end := make(chan error, 1)
	s.ends.Store(n, end)
	return end
}

func (s *riverSystem) ended(n int64, err error) {
	if end, ok := s.ends.LoadAndDelete(n); ok {
		if end, ok := end.(chan error); ok {
			end <- err
		}
	}
}

func await(ctx context.Context, end <-chan error) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-end:
		return err
	}
}

// Close implements contender.System.
func (s *riverSystem) Close() {
	stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.client.Stop(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		quiet().Error("stopping River failed", "err", err)
	}
	s.pool.Close()
}
