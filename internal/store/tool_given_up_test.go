package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"statek/internal/jobs"
)

// TestACallThatIsGivenUpBeforeItsCommit: it is known that nothing has happened, and its job can go on.
func TestACallThatIsGivenUpBeforeItsCommit(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	ctx, giveUp := context.WithCancelCause(k.ctx)
	over := errors.New("the cell is over")
	var told error
	err := k.store.RunTool(ctx, h.note("one"), func(v json.RawMessage, _ *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		giveUp(over)
		return h.commit(jobs.CallSettled{Call: 1, Name: "t", Value: v}), func(_ bool, err error) { told = err }, nil
	})
	if !errors.Is(err, over) || !errors.Is(told, over) || errors.Is(told, jobs.ErrUnknownOutcome) {
		t.Errorf("error %v, told %v; want that the cell is over", err, told)
	}
	if n, held := k.notes(), k.pool.Stat().AcquiredConns(); n != 0 || held != 0 {
		t.Errorf("%d notes and %d connections held, want none", n, held)
	}
}
