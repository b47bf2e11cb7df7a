package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"statek/internal/store/db"
	"statek/internal/temporal"
)

// jobArgs are the arguments of a group that waits for a job.
type jobArgs struct{ ID uuid.UUID }

// serveJob tells all who wait for the end of a job how it has ended, or that they cannot see such a job.
func (l *look) serveJob(ctx context.Context) error {
	var args jobArgs
	if err := json.Unmarshal(l.group.Args, &args); err != nil {
		l.eval.Err = fmt.Sprintf("read arguments: %s", err)
		return nil
	}
	end, err := l.q.WaitJobOutcome(ctx, db.WaitJobOutcomeParams{Job: args.ID, Prefix: l.group.Prefix})
	if err != nil || end.Kind == "" {
		return err
	}
	if err := l.askTold(ctx); err != nil {
		return err
	}
	heads, err := l.heads(ctx, temporal.Definition{}, broadcastBatch)
	if err != nil {
		return err
	}
	ids := make([]int64, len(heads))
	for i, h := range heads {
		ids[i] = h.ID
	}
	if len(heads) == 0 || len(heads) < int(heads[0].Heads) {
		l.eval.Ready = true // a waiter was skipped; its holder may roll back
	}
	l.eval.Full = len(heads) == broadcastBatch
	if len(ids) == 0 {
		return nil
	}
	served, err := l.q.WaitSettleAll(ctx, db.WaitSettleAllParams{Ids: ids, Kind: end.Kind, Payload: string(end.Payload)})
	l.eval.Served = int(served)
	return err
}
