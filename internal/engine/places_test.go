package engine

import (
	"context"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/jobs"
)

// TestPlacesArePromised: a burst of submissions does not all go to this worker because none has a place yet, and a job that
// waits for its place is no stray.
func TestPlacesArePromised(t *testing.T) {
	t.Parallel()
	e := New(Config{Places: 3}, t.Context())
	if !e.Reserve(5) || e.Reserve(2) || !e.Reserve(1) {
		t.Error("want six promises for three places, and no seventh")
	}
	e.Unreserve(6)
	for range cap(e.places) {
		e.places <- struct{}{}
	}
	rec := jobs.Record{Hold: jobs.Hold{Job: uuid.New(), Epoch: 1}}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		h := e.Head(rec)
		h.Tell(true)
		h.Run(ctx, false)
	}()
	for len(e.Running()) == 0 {
		runtime.Gosched()
	}
	if diff := cmp.Diff(map[jobs.ID]int64{rec.Job: 1}, e.Running()); diff != "" {
		t.Errorf("running (-want +got):\n%s", diff)
	}
	if e.Reserve(6) || !e.Reserve(5) {
		t.Error("want a job that waits for its place to count")
	}
	stop()
	<-over
	if len(e.Running()) != 0 {
		t.Error("a job that got no place is still counted")
	}
}
