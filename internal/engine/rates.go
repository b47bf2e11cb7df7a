package engine

import (
	"context"
	"time"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/providers"
)

const (
	// turnKept is how long after its time a turn may still be taken: later, many that are late would come at once.
	turnKept = 10 * time.Second
	// replyThought is how many tokens a reply is thought to have before it is there, and tokenBytes is how long one is.
	replyThought = 256
	tokenBytes   = 4
)

// awaitTurn waits until the provider may be asked. A long wait is slept: then delayed is what to do next, and the turn is
// kept in the job.
func (r *run) awaitTurn(ctx context.Context, eff jobs.AskModel, route agents.Route) (delayed []jobs.Effect, thought int, err error) {
	rate := r.Providers.Rate(route.Provider)
	if r.Turns == nil || rate == (providers.Rate{}) {
		return nil, 0, nil
	}
	if rate.Tokens > 0 {
		if thought, err = r.think(ctx, eff, route); err != nil {
			return nil, 0, err
		}
	}
	if at := r.job.NotBefore; at > 0 && r.Now().Sub(time.UnixMilli(at)) < turnKept {
		return nil, thought, nil // drawn before it slept
	}
	wait, err := r.purse.spend(ctx, r.Turns, route.Provider, rate, thought, r.Now())
	if err != nil {
		return nil, 0, err
	}
	if wait > shortPause {
		ev := jobs.ModelDelayed{
			Turn: eff.Turn, Attempt: eff.Attempt, Until: r.Now().Add(wait).UnixMilli(),
			Why: r.turnWhy(),
		}
		delayed, err = r.apply(ev)
		return delayed, 0, err
	}
	if wait > 0 {
		r.idle()
		if !pause(ctx, wait) {
			return nil, 0, context.Cause(ctx)
		}
	}
	return nil, thought, nil
}

// think estimates the tokens of the request and of its reply.
func (r *run) think(ctx context.Context, eff jobs.AskModel, route agents.Route) (int, error) {
	if _, err := r.flush(ctx, false); err != nil {
		return 0, err
	}
	req, err := r.request(ctx, eff.Turn, route)
	if err != nil {
		return 0, err
	}
	n := replyThought
	for _, m := range req.Messages {
		n += len(m.Content) / tokenBytes
	}
	return n, nil
}

// settleTurn tells the purse what a reply has cost.
func (r *run) settleTurn(provider string, thought int, usage providers.Usage) {
	if cost := usage.InputTokens + usage.OutputTokens; thought > 0 && cost > 0 {
		r.purse.settle(provider, thought, int(cost))
	}
}

// turnWhy says why the model cannot be asked at once.
func (r *run) turnWhy() string {
	route, err := r.agent.Route(r.agent.Difficulty(), r.Providers.Default())
	if err != nil {
		return "the provider takes no more"
	}
	return "provider " + route.Provider + " takes " + r.Providers.Rate(route.Provider).String()
}
