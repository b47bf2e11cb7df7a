package store

import (
	"context"

	"statek/internal/jobs"
)

// wastedReplies counts model requests that were repeated because an interruption had lost the answer.
const wastedReplies = "wasted_replies"

// repeats counts such requests among the entries of a commit.
func repeats(entries []jobs.Entry) (n int64) {
	for _, e := range entries {
		if ev, ok := e.Event.(jobs.ModelRequested); ok && ev.Repeat {
			n++
		}
	}
	return n
}

// Attempts says how often models were asked anew.
type Attempts struct {
	// Wasted are requests that were repeated because an interruption had lost the answer; each may have been paid twice.
	Wasted int64
	// Retries are attempts that failed before a reply came, since the oldest reply that is kept.
	Retries int64
}

// Attempts counts repeated model requests.
func (s *Store) Attempts(ctx context.Context) (Attempts, error) {
	row, err := s.q.AttemptCounts(ctx)
	return Attempts{Wasted: row.Wasted, Retries: max(0, row.Retries-row.Wasted)}, wrap(err, "count attempts")
}
