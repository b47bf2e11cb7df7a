package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Doorbell is the River job: look at job JobID.
type Doorbell struct {
	JobID uuid.UUID `json:"job_id"`
}

// Kind implements river.JobArgs.
func (Doorbell) Kind() string { return "doorbell" }

// Config says how doorbells are taken.
type Config struct {
	// Worker is the owner's id. It becomes River's client id, so that rows left running by a dead worker can
	// be told apart.
	Worker uuid.UUID
	// MaxJobs are looked at at once. Default 1,000: a job that thinks holds a slot and little else.
	MaxJobs int
	// Cooldown is the shortest time between two fetches. Default 5 ms: at River's own 100 ms a notification
	// inside the pause is missed and its job waits for the next poll.
	Cooldown time.Duration
	// Poll is how often to look without a notification. Default 1 s.
	Poll time.Duration
	// PollOnly: notifications cannot arrive.
	PollOnly bool
	Logger   *slog.Logger
}

// Queue takes doorbells.
type Queue struct {
	client *river.Client[pgx.Tx]
}

// New prepares a queue; answer is called for every doorbell, up to MaxJobs at once. Its context ends when
// Stop's grace is over.
func New(pool *pgxpool.Pool, cfg Config, answer func(ctx context.Context, job uuid.UUID)) (*Queue, error) {
	if cfg.MaxJobs == 0 {
		cfg.MaxJobs = 1000
	}
	if cfg.Cooldown == 0 {
		cfg.Cooldown = 5 * time.Millisecond
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{answer: answer})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID:                          cfg.Worker.String(),
		Schema:                      Schema,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.MaxJobs}},
		Workers:                     workers,
		FetchCooldown:               cfg.Cooldown,
		FetchPollInterval:           cfg.Poll,
		PollOnly:                    cfg.PollOnly,
		JobTimeout:                  -1,
		CompletedJobRetentionPeriod: time.Minute,
		Logger:                      quiet(cfg.Logger),
	})
	if err != nil {
		return nil, fmt.Errorf("queue: make the client: %w", err)
	}
	return &Queue{client: client}, nil
}

// Run takes doorbells until ctx ends, then takes no more, and returns when those taken have been answered
// or grace is over; then their contexts are cancelled and it waits for them.
func (q *Queue) Run(ctx context.Context, grace time.Duration) error {
	work := context.WithoutCancel(ctx)
	if err := q.client.Start(work); err != nil {
		return fmt.Errorf("queue: start: %w", err)
	}
	select {
	case <-ctx.Done():
	case <-q.client.Stopped():
		return errors.New("queue: the River client stopped by itself")
	}
	soft, cancel := context.WithTimeoutCause(work, grace, errors.New("the grace period is over"))
	defer cancel()
	if err := q.client.Stop(soft); err == nil {
		return nil
	}
	if err := q.client.StopAndCancel(work); err != nil {
		return fmt.Errorf("queue: stop: %w", err)
	}
	return nil
}

type worker struct {
	river.WorkerDefaults[Doorbell]
	answer func(context.Context, uuid.UUID)
}

// Work implements river.Worker. It never fails: a doorbell has been answered once it was looked at.
func (w *worker) Work(ctx context.Context, job *river.Job[Doorbell]) error {
	w.answer(ctx, job.Args.JobID)
	return nil
}

// Timeout implements river.Worker: a job may run for days.
func (w *worker) Timeout(*river.Job[Doorbell]) time.Duration { return -1 }
