package systems

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing/fstest"
	"time"

	"github.com/google/uuid"

	"statek"
	"statek/bench/contender"
)

// definitions are two agents without a model. The first one's warmup is the cell of all contenders: three lines, two calls of
// a tool in SQL, each committed with its record. Their bindings are kept as variables. shared: the tool says that calls of
// different jobs may share a transaction.
func definitions(shared bool) fstest.MapFS {
	header := "-- tool: add(n int)\n-- returns: value\n"
	if shared {
		header += "-- batch: yes\n"
	}
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		"agents/two_steps.md":        file("# MODEL: scripted//none\n# System Prompt\nYou add.\n"),
		"agents/two_steps.warmup.js": file(twoStepsCell),
		"agents/sleeper.md":          file("# MODEL: scripted//none\n# System Prompt\nYou wait.\n"),
		"agents/sleeper.warmup.js":   file("const m = await message()\nconst a = await add(1)\nexit(a)\n"),
		"tools/add.sql":              file(header + "insert into app.ledger (n) values (:n) returning n\n"),
	}
}

const twoStepsCell = "const a = await add(n)\nconst b = await add(a + 1)\nexit(b)\n"

// grants let tools use the ledger.
const grants = "grant usage on schema app to statek_tool; grant select, insert on app.ledger to statek_tool"

type statekSystem struct {
	client *statek.Client
	stop   context.CancelFunc
	// running are the client, which hears of ends, and the worker if it is in this process.
	running sync.WaitGroup
}

func openStatek(ctx context.Context, databaseURL string) (contender.System, error) {
	return newStatek(ctx, databaseURL, true, false)
}

// openShared lets calls share transactions.
func openShared(ctx context.Context, databaseURL string) (contender.System, error) {
	return newStatek(ctx, databaseURL, true, true)
}

// openSubmitter leaves the work to other processes.
func openSubmitter(ctx context.Context, databaseURL string) (contender.System, error) {
	return newStatek(ctx, databaseURL, false, false)
}

func newStatek(ctx context.Context, databaseURL string, works, shared bool) (contender.System, error) {
	if err := prepare(ctx, databaseURL); err != nil {
		return nil, err
	}
	client, err := statek.Open(ctx, statek.Config{DatabaseURL: databaseURL, Logger: quiet()})
	if err != nil {
		return nil, fmt.Errorf("systems: open Statek: %w", err)
	}
	if err := errors.Join(client.Migrate(ctx), grant(ctx, databaseURL), client.Apply(ctx, definitions(shared), "/")); err != nil {
		client.Close()
		return nil, fmt.Errorf("systems: prepare Statek: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	s := &statekSystem{client: client, stop: stop}
	s.running.Go(func() { _ = client.Run(ctx) })
	if works {
		worker, err := statek.NewWorker(client, statek.WorkerConfig{})
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("systems: make a worker: %w", err)
		}
		s.running.Go(func() { _ = worker.Run(ctx) })
	}
	return s, nil
}

// prepare makes the ledger.
func prepare(ctx context.Context, databaseURL string) error {
	pool, err := newPool(ctx, databaseURL)
	if err == nil {
		pool.Close()
	}
	return err
}

// grant needs the role that Statek's migrations make.
func grant(ctx context.Context, databaseURL string) error {
	pool, err := newPool(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.Exec(ctx, grants)
	return err
}

// Job implements contender.System.
func (s *statekSystem) Job(ctx context.Context) error {
	job, err := s.client.Submit(ctx, "two_steps", statek.Submission{SharedVars: map[string]any{"n": 1}})
	if err != nil {
		return err
	}
	return s.await(ctx, job.ID)
}

// Sleeper implements contender.System.
func (s *statekSystem) Sleeper(ctx context.Context) (func(context.Context) error, error) {
	job, err := s.client.Submit(ctx, "sleeper", statek.Submission{})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := s.client.Send(ctx, job.ID, 1); err != nil {
			return err
		}
		return s.await(ctx, job.ID)
	}, nil
}

func (s *statekSystem) await(ctx context.Context, id uuid.UUID) error {
	job, err := s.client.Wait(ctx, id, time.Minute)
	if err == nil && job.Outcome != "succeeded" {
		err = fmt.Errorf("systems: job %s is %s: %s %s", id, job.Status, job.Error, job.BlockedWhy)
	}
	return err
}

// Close implements contender.System.
func (s *statekSystem) Close() {
	s.stop()
	s.running.Wait()
	s.client.Close()
}
