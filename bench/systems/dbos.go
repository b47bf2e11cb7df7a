package systems

import (
	"context"
	"fmt"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/bench/contender"
)

// dbosSystem runs workflows in place: the caller's process executes them, no queue and no poll in between. The steps' data
// are in DBOS's own database, so that a step and its record are one transaction.
type dbosSystem struct {
	ctx    dbos.Context
	pool   *pgxpool.Pool
	source *dbos.DataSource
}

func openDBOS(ctx context.Context, databaseURL string) (contender.System, error) {
	pool, err := newPool(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	s := &dbosSystem{pool: pool}
	if s.ctx, err = dbos.NewContext(ctx, dbos.Config{AppName: "bench", SystemDBPool: pool, Logger: quiet()}); err != nil {
		pool.Close()
		return nil, fmt.Errorf("systems: open DBOS: %w", err)
	}
	if s.source, err = dbos.NewDataSource(s.ctx, pool); err != nil {
		return nil, fmt.Errorf("systems: open DBOS's data source: %w", err)
	}
	dbos.RegisterWorkflow(s.ctx, s.twoSteps, dbos.WithWorkflowName("two_steps"))
	dbos.RegisterWorkflow(s.ctx, s.sleeper, dbos.WithWorkflowName("sleeper"))
	if err := dbos.Launch(s.ctx); err != nil {
		return nil, fmt.Errorf("systems: launch DBOS: %w", err)
	}
	return s, nil
}

func (s *dbosSystem) twoSteps(ctx dbos.Context, n int) (int, error) {
	if _, err := s.step(ctx, n); err != nil {
		return 0, err
	}
	return s.step(ctx, n+1)
}

func (s *dbosSystem) sleeper(ctx dbos.Context, _ int) (int, error) {
	n, err := dbos.Recv[int](ctx, "go", time.Minute)
	if err != nil {
		return 0, fmt.Errorf("systems: receive: %w", err)
	}
	return s.step(ctx, n)
}

func (s *dbosSystem) step(ctx dbos.Context, n int) (int, error) {
	return dbos.RunAsTransaction(ctx, s.source, func(ctx context.Context, tx dbos.Tx) (int, error) {
		_, err := tx.Exec(ctx, insert, n)
		return n, err
	})
}

// Job implements contender.System.
func (s *dbosSystem) Job(context.Context) error {
	handle, err := dbos.RunWorkflow(s.ctx, s.twoSteps, 1)
	if err != nil {
		return fmt.Errorf("systems: run a DBOS workflow: %w", err)
	}
	_, err = handle.GetResult()
	return err
}

// Sleeper implements contender.System.
func (s *dbosSystem) Sleeper(context.Context) (func(context.Context) error, error) {
	handle, err := dbos.RunWorkflow(s.ctx, s.sleeper, 1)
	if err != nil {
		return nil, fmt.Errorf("systems: run a DBOS workflow: %w", err)
	}
	return func(context.Context) error {
		if err := dbos.Send(s.ctx, handle.GetWorkflowID(), 1, "go"); err != nil {
			return fmt.Errorf("systems: send: %w", err)
		}
		_, err := handle.GetResult()
		return err
	}, nil
}

// Close implements contender.System.
func (s *dbosSystem) Close() {
	_ = dbos.Shutdown(s.ctx, 2*time.Second) // the process ends anyway
	s.pool.Close()
}
