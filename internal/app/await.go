package app

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// AwaitSchema blocks until the database is there and has every migration this program needs, or ctx ends.
// It says once what it waits for, and again when that changes.
func AwaitSchema(ctx context.Context, databaseURL string, logger *slog.Logger) error {
	told := ""
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := CheckSchema(ctx, databaseURL)
		switch {
		case err == nil:
			if told != "" {
				logger.InfoContext(ctx, "the database is ready")
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrSchema) && told != "schema":
			told = "schema"
			logger.WarnContext(ctx, "waiting: run statek migrate up", slog.String("err", err.Error()))
		case !errors.Is(err, ErrSchema) && told != "database":
			told = "database"
			logger.WarnContext(ctx, "waiting for the database", slog.String("err", redact(err)))
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
