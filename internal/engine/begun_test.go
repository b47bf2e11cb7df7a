package engine

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// lostOnce loses a call's first transaction to a concurrent one, and then tells how many places are taken.
type lostOnce struct {
	SQLRunner
	engine *Engine
	begun  []bool
	places []int
}

var errLost = errors.New("a concurrent transaction was faster")

// RunTool implements SQLRunner.
func (l *lostOnce) RunTool(_ context.Context, run agents.SQLRun, _ settling) error {
	l.begun, l.places = append(l.begun, run.Begun != nil), append(l.places, len(l.engine.slots))
	if len(l.begun) == 1 {
		return errLost
	}
	return nil
}

type undone struct{}

func (undone) Discard() {}

// TestACallThatWasBegunIsMadeAgainInAPlace: only what has a connection already needs none of the places, which are fewer than connections.
func TestACallThatWasBegunIsMadeAgainInAPlace(t *testing.T) {
	t.Parallel()
	sql := &lostOnce{}
	e := New(Config{
		Logger: slog.New(slog.DiscardHandler), Random: func() uint64 { return 1 }, Now: time.Now, SQL: sql,
		Concurrent: func(err error) bool { return errors.Is(err, errLost) },
	}, t.Context())
	sql.engine = e
	r := newRun(e, jobs.Record{Hold: jobs.Hold{Job: uuid.New(), Epoch: 1}})
	r.job.Cell = &jobs.Cell{Number: 1}
	d := r.newDrive()
	d.work, d.stop = context.WithCancelCause(t.Context())
	defer d.stop(nil)
	d.begun = undone{}
	if res := d.runSQL(jobs.Pending{Call: 1, Name: "x"}, agents.Tool{SQL: &agents.SQLCall{}}, map[string]json.RawMessage{}); res.err != nil || res.settled != nil {
		t.Fatalf("the call: %+v", res)
	}
	if len(sql.begun) != 2 || !sql.begun[0] || sql.begun[1] {
		t.Errorf("begun at each attempt: %t, want at the first of two", sql.begun)
	}
	if len(sql.places) != 2 || sql.places[0] != 0 || sql.places[1] != 1 {
		t.Errorf("places at each attempt: %d, want none and one", sql.places)
	}
}
