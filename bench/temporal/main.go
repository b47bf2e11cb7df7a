// Command temporal is the contender Temporal: its development server with everything in memory, client and worker in one
// process. It is a module of its own because the server brings hundreds of packages; see package contender for how it is driven.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.temporal.io/server/temporaltest"

	"statek/bench/contender"
)

const (
	queue = "bench"
	// pollers keep 100 workflows moving; the default of two is not made for that.
	pollers = 16
	ledger  = `create schema if not exists app; create table if not exists app.ledger (id bigint generated always as identity primary key, n int not null)`
)

func main() {
	err := contender.Serve(context.Background(), os.Stdin, os.Stdout, func(ctx context.Context) (contender.System, error) {
		return open(ctx, os.Getenv("BENCH_DATABASE_URL"))
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "temporal: %v\n", err)
		os.Exit(1)
	}
}

type system struct {
	pool   *pgxpool.Pool
	server *temporaltest.TestServer
	client client.Client
}

func open(ctx context.Context, databaseURL string) (contender.System, error) {
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if _, err := pool.Exec(ctx, ledger); err != nil {
		return nil, fmt.Errorf("make the ledger: %w", err)
	}
	s := &system{pool: pool}
	s.server = temporaltest.NewServer(temporaltest.WithBaseClientOptions(client.Options{Logger: silent{}}))
	s.client = s.server.GetDefaultClient()
	options := worker.Options{MaxConcurrentActivityTaskPollers: pollers, MaxConcurrentWorkflowTaskPollers: pollers}
	s.server.NewWorkerWithOptions(queue, func(r worker.Registry) {
		r.RegisterWorkflowWithOptions(twoSteps, workflow.RegisterOptions{Name: "two_steps"})
		r.RegisterWorkflowWithOptions(sleeper, workflow.RegisterOptions{Name: "sleeper"})
		r.RegisterActivityWithOptions(s.step, activity.RegisterOptions{Name: "step"})
	}, options)
	return s, nil
}

// step is one INSERT in a transaction of its own; that it is done is recorded elsewhere, so it may happen twice.
func (s *system) step(ctx context.Context, n int) (int, error) {
	return n, pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "insert into app.ledger (n) values ($1)", n)
		return err
	})
}

func twoSteps(ctx workflow.Context, n int) (int, error) {
	if _, err := do(ctx, n); err != nil {
		return 0, err
	}
	return do(ctx, n+1)
}

func sleeper(ctx workflow.Context) (n int, err error) {
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, &n)
	return do(ctx, n)
}

func do(ctx workflow.Context, n int) (result int, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 30 * time.Second})
	err = workflow.ExecuteActivity(ctx, "step", n).Get(ctx, &result)
	return result, err
}

// Job implements contender.System.
func (s *system) Job(ctx context.Context) error {
	run, err := s.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, "two_steps", 1)
	if err != nil {
		return fmt.Errorf("start a workflow: %w", err)
	}
	return run.Get(ctx, nil)
}

// Sleeper implements contender.System.
func (s *system) Sleeper(ctx context.Context) (func(context.Context) error, error) {
	run, err := s.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, "sleeper")
	if err != nil {
		return nil, fmt.Errorf("start a workflow: %w", err)
	}
	return func(ctx context.Context) error {
		if err := s.client.SignalWorkflow(ctx, run.GetID(), run.GetRunID(), "go", 1); err != nil {
			return fmt.Errorf("send a signal: %w", err)
		}
		return run.Get(ctx, nil)
	}, nil
}

// Close implements contender.System. The process ends, and with it a server that keeps nothing.
func (s *system) Close() { s.pool.Close() }

// silent is a logger that drops everything.
type silent struct{}

// Debug implements log.Logger.
func (silent) Debug(string, ...any) {}

// Info implements log.Logger.
func (silent) Info(string, ...any) {}

// Warn implements log.Logger.
func (silent) Warn(string, ...any) {}

// Error implements log.Logger.
func (silent) Error(string, ...any) {}
