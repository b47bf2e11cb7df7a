package engine

import (
	"context"
	"testing"
	"time"

	"statek/internal/providers"
)

// ledger counts what is drawn, and lets everybody wait who draws more than is left.
type ledger struct{ requests, tokens, draws, left int }

// Draw implements Turns.
func (l *ledger) Draw(_ context.Context, _ string, _, _, requests, tokens int) (time.Duration, error) {
	l.requests, l.tokens, l.draws = l.requests+requests, l.tokens+tokens, l.draws+1
	if l.left -= requests; l.left < 0 {
		return time.Second, nil
	}
	return 0, nil
}

// TestPurse draws ahead where much is allowed, never when it is crowded, and pays its debts.
func TestPurse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	spend := func(p *purse, l *ledger, rate providers.Rate, tokens int) time.Duration {
		t.Helper()
		wait, err := p.spend(t.Context(), l, "X", rate, tokens, now)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	slow, fast := providers.Rate{Requests: 60}, providers.Rate{Requests: 60_000, Tokens: 6_000_000}

	var p purse
	l := &ledger{left: 1000}
	for range 10 {
		spend(&p, l, slow, 0)
	}
	if l.draws != 10 || l.requests != 10 {
		t.Errorf("at 60 a minute: %+v, want a draw for each request", *l)
	}

	p, l = purse{}, &ledger{left: 1000}
	for range 100 {
		spend(&p, l, fast, 100)
	}
	if l.draws != 1 || l.requests != 100 || l.tokens != 10_000 {
		t.Errorf("at 60,000 a minute: %+v, want one draw for all", *l)
	}
	p.settle("X", 100, 5_100)
	spend(&p, l, fast, 100)
	if l.tokens != 10_000+10_000 {
		t.Errorf("after a long reply: %+v, want its debt to be part of the draw ahead", *l)
	}
	p.settle("X", 0, 20_000)
	spend(&p, l, fast, 100)
	if l.tokens < 20_000+10_100 {
		t.Errorf("after a very long reply: %+v, want its debt drawn", *l)
	}

	p, l = purse{}, &ledger{left: 0}
	for range 3 {
		if spend(&p, l, fast, 100) == 0 {
			t.Error("a crowded provider was asked at once")
		}
	}
	if l.requests != mostAhead+2 {
		t.Errorf("crowded: %+v, want one request a draw after the first", *l)
	}

	p, l = purse{}, &ledger{left: 1000}
	spend(&p, l, fast, 100)
	now = now.Add(2 * coinsKeep)
	spend(&p, l, fast, 100)
	if l.draws != 2 {
		t.Errorf("%+v, want old coins to be gone", *l)
	}
}
