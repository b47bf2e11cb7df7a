package queue_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/pgtest"
	"statek/internal/queue"
)

// running is a queue at work.
type running struct {
	t       *testing.T
	pool    *pgxpool.Pool
	stop    context.CancelFunc
	stopped chan error
}

func run(t *testing.T, pool *pgxpool.Pool, cfg queue.Config, grace time.Duration, answer func(context.Context, uuid.UUID)) *running {
	t.Helper()
	cfg.Worker = uuid.New()
	q, err := queue.New(pool, cfg, queue.Answers{Job: answer})
	if err != nil {
		t.Fatal(err)
	}
	return start(t, pool, q, grace)
}

func start(t *testing.T, pool *pgxpool.Pool, q *queue.Queue, grace time.Duration) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, pool: pool, stop: cancel, stopped: make(chan error, 1)}
	go func() { r.stopped <- q.Run(ctx, grace); close(r.stopped) }()
	t.Cleanup(func() { cancel(); <-r.stopped })
	return r
}

func ring(t *testing.T, pool *pgxpool.Pool, jobs ...uuid.UUID) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), "select statek.ring($1, true)", jobs); err != nil {
		t.Fatal(err)
	}
}

func next[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// until waits for a query to become true.
func until(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for yes := false; !yes; {
		if err := pool.QueryRow(ctx, sql).Scan(&yes); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// TestNotificationTakesADoorbellAtOnce: nobody polls within the test's time.
func TestNotificationTakesADoorbellAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t)
	answered := make(chan uuid.UUID, 10)
	run(t, pool, queue.Config{Poll: time.Hour}, time.Second, func(_ context.Context, job uuid.UUID) { answered <- job })
	first := uuid.New()
	ring(t, pool, first)
	if got := next(t, "the first doorbell", answered); got != first {
		t.Errorf("answered %s, want %s", got, first)
	}
	for range 5 { // the listener stands by now
		job := uuid.New()
		began := time.Now()
		ring(t, pool, job)
		if got := next(t, "a doorbell", answered); got != job {
			t.Errorf("answered %s, want %s", got, job)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the answer took %s", took)
		}
	}
}

// TestLostNotificationOnlyCostsAPoll: the doorbell is in the table.
func TestLostNotificationOnlyCostsAPoll(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t)
	answered := make(chan uuid.UUID, 10)
	run(t, pool, queue.Config{Poll: 100 * time.Millisecond}, time.Second, func(_ context.Context, job uuid.UUID) { answered <- job })
	job := uuid.New()
	if _, err := pool.Exec(t.Context(), "select statek.ring(array[$1]::uuid[], false)", job); err != nil {
		t.Fatal(err)
	}
	if got := next(t, "the doorbell", answered); got != job {
		t.Errorf("answered %s, want %s", got, job)
	}
}

// TestDoorbellsNeverFail: answered is done, whatever came of it; none is retried.
func TestDoorbellsNeverFail(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t)
	answered := make(chan uuid.UUID, 10)
	run(t, pool, queue.Config{}, time.Second, func(_ context.Context, job uuid.UUID) { answered <- job })
	job := uuid.New()
	for range 3 { // the same job, rung again and again: each is answered
		ring(t, pool, job)
		next(t, "the doorbell", answered)
	}
	until(t, pool, "select count(*) = 3 from river.river_job where state = 'completed' and attempt = 1 and errors is null")
}

// TestMaxJobsAreAnsweredAtOnce, and no more.
func TestMaxJobsAreAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t)
	entered, leave := make(chan uuid.UUID, 10), make(chan struct{})
	run(t, pool, queue.Config{MaxJobs: 2, Poll: 50 * time.Millisecond}, 10*time.Second, func(ctx context.Context, job uuid.UUID) {
		entered <- job
		select {
		case <-leave:
		case <-ctx.Done():
		}
	})
	ring(t, pool, uuid.New(), uuid.New(), uuid.New(), uuid.New())
	next(t, "the first", entered)
	next(t, "the second", entered)
	until(t, pool, "select pg_sleep(0.3)::text = '' and count(*) filter (where state = 'available') = 2 from river.river_job")
	select {
	case job := <-entered:
		t.Errorf("%s is answered beyond MaxJobs", job)
	default:
	}
	close(leave)
	next(t, "the third", entered)
	next(t, "the fourth", entered)
}

// TestCrowdIsShared: a worker takes as much of a crowd as it has slots for, and leaves the rest to others. Every job is
// answered once.
func TestCrowdIsShared(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t)
	crowd := make([]uuid.UUID, 16*8)
	for i := range crowd {
		crowd[i] = uuid.New()
	}
	answered := make(chan uuid.UUID, len(crowd)+1)
	open := make(chan struct{})
	var entered [2]chan int
	for i := range entered {
		entered[i] = make(chan int, 16)
		q, err := queue.New(pool, queue.Config{Worker: uuid.New(), Poll: time.Hour}, queue.Answers{
			Job: func(_ context.Context, job uuid.UUID) { answered <- job },
			Crowd: func(_ context.Context, jobs []uuid.UUID) {
				entered[i] <- len(jobs)
				<-open
				for _, job := range jobs {
					answered <- job
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		start(t, pool, q, time.Minute)
	}
	opened := sync.OnceFunc(func() { close(open) })
	t.Cleanup(opened)
	alone := uuid.New()
	for i := range entered {
		ring(t, pool, crowd[i*64:i*64+64]...)
	}
	for i := range entered {
		for range 8 {
			if n := next(t, "a doorbell of the crowd", entered[i]); n != 8 {
				t.Errorf("worker %d was rung for %d jobs, want 8", i, n)
			}
		}
	}
	ring(t, pool, alone) // the crowd is not in its way
	if got := next(t, "a doorbell of its own", answered); got != alone {
		t.Errorf("answered %s, want %s", got, alone)
	}
	opened()
	left := map[uuid.UUID]bool{}
	for _, job := range crowd {
		left[job] = true
	}
	for range crowd {
		job := next(t, "an answer", answered)
		if !left[job] {
			t.Errorf("%s is answered twice", job)
		}
		delete(left, job)
	}
	until(t, pool, "select count(*) = 17 from river.river_job where state = 'completed'")
}

// TestCrowdWithoutAnswerOfItsOwn: each of its jobs is answered like any other.
func TestCrowdWithoutAnswerOfItsOwn(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t)
	answered := make(chan uuid.UUID, 20)
	run(t, pool, queue.Config{PollOnly: true, Poll: 50 * time.Millisecond}, time.Second, func(_ context.Context, job uuid.UUID) { answered <- job })
	left := map[uuid.UUID]bool{}
	for range 20 {
		left[uuid.New()] = true
	}
	ring(t, pool, slices.Collect(maps.Keys(left))...)
	for len(left) > 0 {
		delete(left, next(t, "an answer", answered))
	}
}

// TestRunStopsWithGrace: what was taken may finish; what does not is cancelled, and waited for.
func TestRunStopsWithGrace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grace     time.Duration
		cancelled bool
	}{"finishes": {time.Minute, false}, "is cancelled": {50 * time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.DB(t)
			entered, leave, left := make(chan bool, 2), make(chan struct{}), make(chan error, 2)
			r := run(t, pool, queue.Config{}, c.grace, func(ctx context.Context, _ uuid.UUID) {
				entered <- true
				select {
				case <-leave:
				case <-ctx.Done():
				}
				left <- ctx.Err()
			})
			ring(t, pool, uuid.New())
			next(t, "the doorbell", entered)
			r.stop()
			if !c.cancelled {
				ring(t, pool, uuid.New()) // perhaps just in time
				close(leave)
			}
			if err := next(t, "the end", r.stopped); err != nil {
				t.Errorf("Run: %v", err)
			}
			if err := next(t, "the answer's end", left); (err != nil) != c.cancelled {
				t.Errorf("the answer ended with %v, want it cancelled: %t", err, c.cancelled)
			}
			until(t, pool, "select count(*) = 0 from river.river_job where state not in ('completed', 'available')")
			before := len(entered)
			ring(t, pool, uuid.New()) // too late
			until(t, pool, "select count(*) > 0 from river.river_job where state = 'available'")
			if len(entered) != before {
				t.Error("a doorbell was taken after the stop")
			}
		})
	}
}
