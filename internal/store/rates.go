package store

import (
	"context"
	"time"
)

// Draw draws a turn, for so many requests and tokens, with a provider that takes rpm and tpm of them a minute (0: any
// number), and returns how far off it is.
func (s *Store) Draw(ctx context.Context, provider string, rpm, tpm, requests, tokens int) (time.Duration, error) {
	var seconds float64
	err := s.pool.QueryRow(ctx, "select statek.draw($1, $2, $3, $4, $5)", text(provider), rpm, tpm, requests, tokens).Scan(&seconds)
	return time.Duration(seconds * float64(time.Second)), wrap(err, "draw a turn with %s", provider)
}
