package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/store"
)

// listen calls heard for every notification on a channel, and once with an empty payload after each
// (re)connection, until ctx ends. What was said meanwhile is lost, so an empty payload means: look at everything.
func (r *reach) listen(ctx context.Context, pool *pgxpool.Pool, channel string, heard func(payload string)) {
	pause := 100 * time.Millisecond
	told := false
	for ctx.Err() == nil {
		err := listenOnce(ctx, pool, channel, func(payload string) {
			pause, told = 100*time.Millisecond, false
			heard(payload)
		})
		if ctx.Err() != nil {
			return
		}
		if m, known := r.result(); known && m.pooled {
			<-ctx.Done() // nothing would ever be heard; whoever cares also polls
			return
		}
		if !told {
			told = true
			r.logger.WarnContext(ctx, "listening was interrupted; it goes on when the database is back",
				slog.String("channel", channel), slog.String("err", redact(err)))
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(pause*2, 5*time.Second)
	}
}

func listenOnce(ctx context.Context, pool *pgxpool.Pool, channel string, heard func(string)) error {
	conn, err := store.Dial(ctx, pool)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return err
	}
	heard("")
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		heard(n.Payload)
	}
}
