package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

// Doorbells is the River job of a crowd: look at each of these jobs.
type Doorbells struct {
	JobIDs []uuid.UUID `json:"job_ids"`
}

// Kind implements river.JobArgs.
func (Doorbells) Kind() string { return "doorbells" }

// Crowds have a queue of their own. A worker takes a doorbell only for a slot that is free, and one that had a thousand for crowds would
// keep what others could do: it has a few, and gives them back as soon as its jobs need no doorbell any more.
const (
	crowdQueue = "crowd"
	crowdSlots = 8
	// crowdCooldown lets several slots become free before the next fetch.
	crowdCooldown = 25 * time.Millisecond
	// crowdPoll is how often to look for crowds without a notification, at least: what an idle worker asks adds up.
	crowdPoll = 10 * time.Second
)

// Answers are what is done about doorbells. Their contexts end when Stop's grace is over.
type Answers struct {
	// Job looks at a job until it rests.
	Job func(ctx context.Context, job uuid.UUID)
	// Crowd looks at jobs that were rung together, until none of them needs the doorbell any more. Default: Job, for each at once.
	Crowd func(ctx context.Context, jobs []uuid.UUID)
}

// DefaultMaxJobs is so large because a job that thinks holds a slot and little else.
const DefaultMaxJobs = 1000

// Config says how doorbells are taken.
type Config struct {
	// Worker is the owner's id. It becomes River's client id, so that rows left running by a dead worker can
	// be told apart.
	Worker uuid.UUID
	// MaxJobs with a doorbell of their own are looked at at once. Default DefaultMaxJobs.
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

// New prepares a queue; answers are given to every doorbell, up to MaxJobs at once and to a few crowds.
func New(pool *pgxpool.Pool, cfg Config, answers Answers) (*Queue, error) {
	if cfg.MaxJobs == 0 {
		cfg.MaxJobs = DefaultMaxJobs
	}
	if cfg.Cooldown == 0 {
		cfg.Cooldown = 5 * time.Millisecond
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	if answers.Crowd == nil {
		answers.Crowd = answers.each
	}
	crowd := river.QueueConfig{MaxWorkers: slots(cfg.MaxJobs), FetchCooldown: max(cfg.Cooldown, crowdCooldown), FetchPollInterval: max(cfg.Poll, crowdPoll)}
	if cfg.PollOnly {
		crowd.FetchPollInterval = max(cfg.Poll, crowd.FetchCooldown)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{answer: answers.Job})
	river.AddWorker(workers, &crowdWorker{answer: answers.Crowd})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID:                          cfg.Worker.String(),
		Schema:                      Schema,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.MaxJobs}, crowdQueue: crowd},
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

// slots are those for crowds: what is taken with them and has no room yet is kept from others.
func slots(maxJobs int) int { return min(crowdSlots, max(1, maxJobs/(2*crowdSlots))) }

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

type crowdWorker struct {
	river.WorkerDefaults[Doorbells]
	answer func(context.Context, []uuid.UUID)
}

// Work implements river.Worker. It never fails, like a single doorbell.
func (w *crowdWorker) Work(ctx context.Context, job *river.Job[Doorbells]) error {
	w.answer(ctx, job.Args.JobIDs)
	return nil
}

// Timeout implements river.Worker: there may be no room for long.
func (w *crowdWorker) Timeout(*river.Job[Doorbells]) time.Duration { return -1 }

func (a Answers) each(ctx context.Context, jobs []uuid.UUID) {
	var all sync.WaitGroup
	for _, job := range jobs {
		all.Go(func() { a.Job(ctx, job) })
	}
	all.Wait()
}
