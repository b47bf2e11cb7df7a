// Package systems holds the contenders that are linked into this program: Statek, DBOS and River. Each does the same work
// on the same table, in the way its own documentation recommends, with its caller and its worker in one process.
package systems

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/bench/contender"
)

// Open begins a contender on an empty database.
type Open func(ctx context.Context, databaseURL string) (contender.System, error)

// All maps the names of contenders to how they begin.
func All() map[string]Open {
	return map[string]Open{
		"statek":        openStatek,
		"statek-shared": openShared,
		"statek-submit": openSubmitter,
		"statek-floor":  openFloor,
		"floor-shared":  openSharedFloor,
		"dbos":          openDBOS,
		"river":         openRiver(riverDefault),
		"river-tuned":   openRiver(riverTuned),
		"river-noop":    openNoop,
	}
}

// poolSize of the peers: with 50 they do the same.
const poolSize = 20

// ledger is what every step writes to.
const (
	ledger = `create schema if not exists app; create table if not exists app.ledger (id bigint generated always as identity primary key, n int not null)`
	insert = "insert into app.ledger (n) values ($1)"
)

// step is what every peer's step does, in the transaction that its system gives it.
func step(ctx context.Context, tx pgx.Tx, n int) error {
	if _, err := tx.Exec(ctx, insert, n); err != nil {
		return fmt.Errorf("systems: step %d: %w", n, err)
	}
	return nil
}

// newPool connects, and makes the ledger.
func newPool(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("systems: read the database URL: %w", err)
	}
	cfg.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("systems: connect: %w", err)
	}
	if _, err := pool.Exec(ctx, ledger); err != nil {
		pool.Close()
		return nil, fmt.Errorf("systems: make the ledger: %w", err)
	}
	return pool, nil
}

// quiet is the logger of all contenders: none of them is to pay for lines.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
