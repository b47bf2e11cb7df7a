package engine

import (
	"context"
	"sync"
	"time"

	"statek/internal/providers"
)

// Turns draws turns with providers, which all workers share.
type Turns interface {
	// Draw draws for so many requests and tokens, of which the provider takes rpm and tpm a minute, and returns how far
	// off their turn is.
	Draw(ctx context.Context, provider string, rpm, tpm, requests, tokens int) (time.Duration, error)
}

// purse holds what this worker has drawn and not used. Where much is allowed it draws for many requests at once: a
// statement for each, on one row, would be the limit instead.
type purse struct {
	mu    sync.Mutex // guards what follows
	coins map[string]*coins
}

// coins are what is left of the draws with one provider.
type coins struct {
	requests int
	tokens   int       // below zero: replies were longer than was thought
	until    time.Time // unused by then, they are gone
	crowded  bool      // the last draw had to wait: there is no room for drawing ahead
}

const (
	// coinsKeep is how long what was drawn ahead may lie: others could have used it.
	coinsKeep = time.Second
	// drawsPerSecond is how many draws a second use up what a provider allows.
	drawsPerSecond = 10
	mostAhead      = 100
)

// spend takes one request and some tokens out of the purse, or draws them, and returns how far off their turn is.
func (p *purse) spend(ctx context.Context, turns Turns, provider string, rate providers.Rate, tokens int, now time.Time) (time.Duration, error) {
	requests, drawn, ok := p.take(provider, rate, tokens, now)
	if ok {
		return 0, nil
	}
	wait, err := turns.Draw(ctx, provider, rate.Requests, rate.Tokens, requests, drawn)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.coins[provider]
	c.crowded = wait > 0
	if wait == 0 {
		c.requests, c.tokens, c.until = c.requests+requests-1, c.tokens+drawn-tokens, now.Add(coinsKeep)
	}
	return wait, nil
}

// take uses what is in the purse; else it says what to draw.
func (p *purse) take(provider string, rate providers.Rate, tokens int, now time.Time) (requests, draw int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.coins[provider]
	if c == nil {
		if p.coins == nil {
			p.coins = map[string]*coins{}
		}
		c = &coins{}
		p.coins[provider] = c
	}
	if now.After(c.until) {
		c.requests, c.tokens = 0, min(c.tokens, 0) // debts stay
	}
	if c.requests > 0 && (rate.Tokens == 0 || c.tokens >= tokens) {
		c.requests--
		c.tokens -= tokens
		return 0, 0, true
	}
	if rate.Tokens > 0 {
		draw = tokens - min(c.tokens, 0)
		c.tokens = max(c.tokens, 0)
	}
	if c.crowded {
		return 1, draw, false
	}
	return min(max(1, rate.Requests/60/drawsPerSecond), mostAhead), max(draw, rate.Tokens/60/drawsPerSecond), false
}

// settle corrects what a reply was thought to cost.
func (p *purse) settle(provider string, thought, cost int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.coins[provider]; c != nil {
		c.tokens += thought - cost
	}
}
