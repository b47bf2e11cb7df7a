package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
)

// QueueCommit writes c in a transaction that stays open.
func QueueCommit(ctx context.Context, tx pgx.Tx, c jobs.Commit) error {
	b := &pgx.Batch{}
	if err := queueHeads(b, []*commitOp{{commit: c}}); err != nil {
		return err
	}
	return tx.SendBatch(ctx, b).Close()
}
