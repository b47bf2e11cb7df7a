package app

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"statek/internal/engine"
	"statek/internal/failpoint"
	"statek/internal/jsvm"
	"statek/internal/providers"
	"statek/internal/queue"
	"statek/internal/store"
	"statek/internal/temporal"
)

// GoTool is a tool of the embedding program.
type GoTool = engine.GoTool

// WorkerConfig says how a worker works.
type WorkerConfig struct {
	Logger    *slog.Logger
	Providers *providers.Registry
	// MaxJobs are driven at once, and as many that were woken together with more than eight. Default 1,000.
	MaxJobs int
	// Conns is the size of the worker's pool. Default 16.
	Conns int
	// Grace is how long running work may take to finish after the context ends. Default 20 s.
	Grace time.Duration
	// Tools are the embedding program's own.
	Tools map[string]engine.GoTool
	// Temporals are the embedding program's own. Waits for others are left to the workers that have them.
	Temporals map[string]GoTemporal
	// Environ reads the variables that HTTP tools name. Default: none.
	Environ func(string) string
	Version string
	// Limits of every cell; zero fields are defaults.
	Limits jsvm.Limits
	// Failpoints is where the places that a crash would hurt are announced: for tests. Default: nowhere.
	Failpoints string
}

// Worker drives jobs. Any number may run, in any number of processes.
type Worker struct {
	app   *App
	cfg   WorkerConfig
	ready atomic.Bool
	// points are nil unless the worker is armed.
	points *failpoint.Points
	// winding are earlier lives whose queue still waits for its database.
	winding sync.WaitGroup
}

// NewWorker prepares a worker.
func NewWorker(a *App, cfg WorkerConfig) (*Worker, error) {
	if _, offset := time.Now().Zone(); offset != 0 { //nolint:forbidigo // asks for the zone, not the time
		return nil, errors.New("app: expected the process to run in UTC, where cells replay alike on every machine: set TZ=UTC, or time.Local = time.UTC first in main")
	}
	if cfg.Logger == nil {
		cfg.Logger = a.cfg.Logger
	}
	if cfg.Grace == 0 {
		cfg.Grace = 20 * time.Second
	}
	if cfg.Grace < 0 {
		return nil, fmt.Errorf("app: expected Grace to be positive, got %s", cfg.Grace)
	}
	if cfg.MaxJobs == 0 {
		cfg.MaxJobs = queue.DefaultMaxJobs
	}
	if cfg.MaxJobs < 0 {
		return nil, fmt.Errorf("app: expected MaxJobs to be positive, got %d", cfg.MaxJobs)
	}
	if cfg.Conns == 0 {
		cfg.Conns = 16
	}
	if cfg.Conns < 6 {
		return nil, fmt.Errorf("app: expected Conns to be at least 6, got %d", cfg.Conns)
	}
	if cfg.Environ == nil {
		cfg.Environ = func(string) string { return "" }
	}
	if cfg.Providers == nil {
		none, err := providers.NewRegistry(nil, "")
		if err != nil {
			return nil, err
		}
		cfg.Providers = none
	}
	points, err := failpoint.Connect(cfg.Failpoints, cfg.Logger)
	if err != nil {
		return nil, err
	}
	return &Worker{app: a, cfg: cfg, points: points}, nil
}

// Ready reports whether the worker takes jobs.
func (w *Worker) Ready() bool { return w.ready.Load() }

// Run drives jobs until ctx ends, then hands over what it holds. A database that is away, at the start or
// later, is waited for; a worker that was given up for dead starts anew under another id.
func (w *Worker) Run(ctx context.Context) error {
	defer w.winding.Wait()
	if err := w.app.CheckSandbox(ctx); err != nil {
		return unlessTold(ctx, err)
	}
	pause := 100 * time.Millisecond
	told := false
	for {
		began := w.app.now()
		err := w.stay(ctx)
		w.ready.Store(false)
		if ctx.Err() != nil {
			return unlessTold(ctx, err)
		}
		if err == nil || !again(err) {
			return err
		}
		if w.app.now().Sub(began) > 10*time.Second {
			pause, told = 100*time.Millisecond, false
		}
		if !told {
			told = true
			w.cfg.Logger.WarnContext(ctx, "the worker waits for the database", slog.String("err", redact(err)))
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// unlessTold is the failure of a life, but for what has not begun because the worker was told to stop.
func unlessTold(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// again reports failures after which a worker starts anew.
func again(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, engine.ErrLostContact) || errors.Is(err, engine.ErrDeclaredDead) || store.Unavailable(err) ||
		errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000" || pg.Code == "3D000") // not migrated yet
}

// stay is one life of the worker under one id.
func (w *Worker) stay(ctx context.Context) (err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("app: make a worker id: %w", err)
	}
	pool, err := newPool(context.WithoutCancel(ctx), w.app.cfg.DatabaseURL, w.cfg.Conns, store.WorkerName(id), 4*time.Second, w.app.reach)
	if err != nil {
		return err
	}
	heart, err := w.register(ctx, pool, id)
	if err != nil {
		pool.Close()
		return err
	}
	s, err := w.assemble(ctx, pool, id, heart)
	if err != nil {
		_ = heart.Close(context.WithoutCancel(ctx))
		pool.Close()
		return err
	}
	w.cfg.Logger.InfoContext(ctx, "worker started", slog.String("worker", id.String()))
	w.ready.Store(true)
	var wound <-chan struct{}
	wound, err = s.run(ctx)
	w.winding.Go(func() { <-wound; pool.Close() })
	if !errors.Is(err, engine.ErrLostContact) && !errors.Is(err, engine.ErrDeclaredDead) {
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if conn, dialErr := store.Dial(leave, pool); dialErr == nil {
			h := store.NewHeart(conn)
			_ = h.Leave(leave, id)
			_ = h.Close(leave)
		}
		w.cfg.Logger.InfoContext(ctx, "worker stopped", slog.String("worker", id.String()))
	}
	return err
}

func (w *Worker) register(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID) (*store.Heart, error) {
	conn, err := store.Dial(ctx, pool)
	if err != nil {
		return nil, err
	}
	heart := store.NewHeart(conn)
	host, _ := os.Hostname()
	err = heart.Register(ctx, store.Worker{ID: id, Host: host, PID: os.Getpid(), Version: w.cfg.Version, Prefixes: []string{"/"}})
	if err != nil {
		_ = heart.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return heart, nil
}

// stay holds the parts of one life.
type stay struct {
	worker   *Worker
	id       uuid.UUID
	pool     *pgxpool.Pool
	engine   *engine.Engine
	keeper   *engine.Keeper
	notifier *store.Notifier
	alive    context.Context
	kill     context.CancelCauseFunc
	taken    taken
	room     chan struct{} // for as many jobs of crowds as MaxJobs
	given    given
}

func (w *Worker) assemble(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID, heart *store.Heart) (*stay, error) {
	notifier := store.NewNotifier(pool, 0)
	st := store.New(pool, bell{notifier, w.app.hub}, w.app.now)
	st.Audience = audience{w.app.hub}
	st.Waits.Go = w.cfg.Temporals
	st.Waits.Jitter = func() float64 { return float64(random()>>11) / (1 << 53) }
	s := &stay{worker: w, id: id, pool: pool, notifier: notifier, room: make(chan struct{}, w.cfg.MaxJobs)}
	s.alive, s.kill = context.WithCancelCause(context.WithoutCancel(ctx))
	cfg := engine.Config{
		Worker: id, Jobs: st, Library: library{st}, SQL: st, Objects: st, Waits: waits{st, s}, Machine: w.app.machine,
		Providers: w.cfg.Providers, Turns: st, GoTools: w.cfg.Tools, Client: &http.Client{Transport: transport()}, Environ: w.cfg.Environ,
		Logger: w.cfg.Logger, Now: w.app.now, Random: random, Near: func(at time.Time) { s.keeper.Near(at) },
		Unavailable: store.Unavailable, Concurrent: store.Concurrent, ToolSlots: store.ToolPlaces(w.cfg.Conns), Limits: w.cfg.Limits,
	}
	var work engine.Chores = &chores{Store: st, logger: w.cfg.Logger, sweep: temporal.FirstSweep()}
	if w.points != nil {
		armed, err := w.arm(ctx, &cfg, st, work)
		if err != nil {
			return nil, err
		}
		work = armed
	}
	s.engine = engine.New(cfg, ctx)
	st.Waits.Taker, st.Waits.MayTake, st.Waits.Taking = id, s.mayTake, s.taking
	first := heart
	s.keeper = engine.NewKeeper(engine.Keeper{
		Engine: s.engine, Chores: work, Logger: w.cfg.Logger,
		Dial: func(ctx context.Context) (engine.Pulse, error) {
			if h := first; h != nil {
				first = nil
				return w.pulse(h), nil
			}
			conn, err := store.Dial(ctx, pool)
			if err != nil {
				return nil, err
			}
			return w.pulse(store.NewHeart(conn)), nil
		},
	})
	return s, nil
}

// transport is shared by all calls of HTTP tools.
func transport() http.RoundTripper {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxIdleConnsPerHost = 32
		return t
	}
	return http.DefaultTransport
}

// run does all that a life consists of. ctx ends: take no more, finish or hand over, then stop the rest. It
// returns a channel that is closed when the queue has wound down as well, which may take River many seconds
// while the database is away: a life that was given up does not wait for it.
func (s *stay) run(ctx context.Context) (<-chan struct{}, error) {
	defer s.kill(engine.ErrShutdown)
	taking, stopTaking := context.WithCancelCause(ctx)
	defer stopTaking(nil)
	wound := make(chan struct{})
	manner, _ := s.worker.app.reach.result()
	q, err := queue.New(s.pool, queue.Config{
		Worker: s.id, MaxJobs: s.worker.cfg.MaxJobs, Logger: s.worker.cfg.Logger, PollOnly: manner.pooled,
	}, queue.Answers{Job: s.answer, Crowd: s.answerCrowd})
	if err != nil {
		close(wound)
		return wound, err
	}
	group, background := errgroup.WithContext(s.alive)
	over, finish := context.WithCancel(background)
	defer finish()
	group.Go(func() error {
		err := s.keeper.Beats(over)
		if err != nil {
			s.kill(err)
			stopTaking(err)
		}
		return err
	})
	group.Go(func() error { return s.keeper.Chore(over) })
	group.Go(func() error { return s.keeper.Prune(over) })
	group.Go(func() error { return s.notifier.Run(over) })
	group.Go(func() error {
		s.worker.app.reach.listen(over, s.pool, store.DirtyChannel, func(string) { s.keeper.Dirty() })
		return nil
	})
	stopped := make(chan error, 1)
	go func() {
		defer close(wound)
		finish := s.taken.open(taking, s.worker.cfg.Grace)
		leave := s.worker.app.here.enter(s)
		err := q.Run(taking, s.worker.cfg.Grace)
		leave()
		finish()
		stopped <- err
	}()
	group.Go(func() error {
		defer finish()
		select {
		case err := <-stopped:
			return err
		case <-s.alive.Done():
			return context.Cause(s.alive)
		}
	})
	err = group.Wait()
	if cause := context.Cause(s.alive); cause != nil && !errors.Is(cause, engine.ErrShutdown) {
		return wound, cause
	}
	return wound, err
}

// while runs a job in a context that ends with the worker's life as well.
func (s *stay) while(ctx context.Context, run func(work context.Context)) {
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(s.alive, func() { cancel(context.Cause(s.alive)) })
	defer stop()
	run(work)
}

func random() uint64 {
	var b [8]byte
	_, _ = crand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}
