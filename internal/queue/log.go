package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeatAfter is how long a message of River's is not said again: during an outage of the database it would
// say the same several times a second.
const repeatAfter = time.Minute

// quiet keeps River's routine messages out of the log, and repetitions of what goes wrong.
func quiet(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(warnings{logger.Handler(), &said{at: map[string]time.Time{}}})
}

type warnings struct {
	slog.Handler
	said *said
}

type said struct {
	mu sync.Mutex
	at map[string]time.Time
}

// Enabled implements slog.Handler.
func (h warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h warnings) Handle(ctx context.Context, r slog.Record) error {
	h.said.mu.Lock()
	last, known := h.said.at[r.Message]
	again := known && r.Time.Sub(last) < repeatAfter
	if !again {
		h.said.at[r.Message] = r.Time
	}
	h.said.mu.Unlock()
	if again {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{h.Handler.WithAttrs(attrs), h.said}
}

// WithGroup implements slog.Handler.
func (h warnings) WithGroup(name string) slog.Handler {
	return warnings{h.Handler.WithGroup(name), h.said}
}
