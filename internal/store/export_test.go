package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
)

// QueueCommit writes c in a transaction that stays open.
func QueueCommit(ctx context.Context, tx pgx.Tx, c jobs.Commit) error {
	_, err := QueueCommits(ctx, tx, c)
	return err
}

// QueueCommits does it for several, and reports whether the first job was released.
func QueueCommits(ctx context.Context, tx pgx.Tx, list ...jobs.Commit) (released bool, err error) {
	b := &pgx.Batch{}
	ops := make([]*commitOp, len(list))
	for i, c := range list {
		ops[i] = &commitOp{commit: c}
	}
	if err := queueHeads(b, ops); err != nil {
		return false, err
	}
	err = tx.SendBatch(ctx, b).Close()
	return ops[0].released, err
}
