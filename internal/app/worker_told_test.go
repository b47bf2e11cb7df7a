package app_test

import (
	"context"
	"log/slog"
	"testing"

	"statek/internal/app"
	"statek/internal/pgtest"
)

// TestToldToStopBeforeItHasBegun: a worker that is told to stop while it starts has done what it was told.
func TestToldToStopBeforeItHasBegun(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	for _, sandbox := range []string{"", app.SandboxInProcess} { // with, it starts a child first
		a, err := app.Open(t.Context(), app.Config{DatabaseURL: url, Logger: slog.New(slog.DiscardHandler), Sandbox: sandbox})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		w, err := app.NewWorker(a, app.WorkerConfig{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Run(ctx); err != nil {
			t.Errorf("sandbox %q: error %v, want none", sandbox, err)
		}
	}
}
