package engine

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// TestAPanicUnderTheLockEndsTheRun: it does not hang for ever, and writes nothing more.
func TestAPanicUnderTheLockEndsTheRun(t *testing.T) {
	t.Parallel()
	startled := false
	e := New(Config{Logger: slog.New(slog.DiscardHandler), Random: func() uint64 { return 1 }, Now: func() time.Time {
		if startled {
			startled = false // once
			panic("boo")
		}
		return time.Unix(0, 0)
	}}, t.Context())
	r := newRun(e, jobs.Record{Hold: jobs.Hold{Job: uuid.New(), Epoch: 1}})
	r.job.Cell = &jobs.Cell{Number: 1}
	d := r.newDrive()
	d.work, d.stop = context.WithCancelCause(t.Context())
	startled = true
	p := jobs.Pending{Call: 1, Name: "x"}
	d.background(p, func() result {
		return d.transact(p, &agents.Chain{}, agents.SQLPolicy(), func(settle settling) error {
			_, _, err := settle(json.RawMessage("1"), nil)
			return err
		})
	})
	<-d.results.news
	ended := make(chan error, 1)
	go func() {
		_, _, err := d.await(t.Context(), "")
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the run hangs")
	}
	if r.lost == nil {
		t.Error("what is half changed may still be written")
	}
}
