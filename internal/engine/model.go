package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/providers"
)

// askModel records the attempt, sends it, and records what came back before anything acts on it.
func (r *run) askModel(ctx context.Context, eff jobs.AskModel) ([]jobs.Effect, error) {
	route, routeErr := r.agent.Route(r.agent.Difficulty(), r.Providers.Default())
	thought := 0
	if routeErr == nil {
		delayed, tokens, err := r.awaitTurn(ctx, eff, route)
		if err != nil || delayed != nil {
			return delayed, err
		}
		thought = tokens
	}
	ev := jobs.ModelRequested{Turn: eff.Turn, Attempt: eff.Attempt, Provider: route.Provider, Model: route.Upstream,
		Repeat: r.job.Model != nil && !r.job.Model.Failed}
	if _, err := r.apply(ev); err != nil {
		return nil, err
	}
	if _, err := r.flush(ctx, false); err != nil {
		return nil, err
	}
	var provider providers.Provider
	if routeErr == nil {
		provider, routeErr = r.Providers.Lookup(route.Provider)
	}
	if routeErr != nil {
		return r.apply(jobs.ModelFailed{Turn: eff.Turn, Attempt: eff.Attempt, Error: routeErr.Error()})
	}
	req, err := r.request(ctx, eff.Turn, route)
	if err != nil {
		return nil, err
	}
	r.idle()
	reply, stopped, err := r.complete(ctx, provider, req)
	switch {
	case stopped:
		return nil, nil // mail has ended, paused or redirected the job
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return r.failed(eff, err)
	default:
		r.settleTurn(route.Provider, thought, reply.Usage)
		return r.replied(ctx, ev, reply)
	}
}

// complete waits for the provider, and for mail: a cancelled or paused job's request is cancelled at once.
func (r *run) complete(ctx context.Context, provider providers.Provider, req providers.Request) (reply providers.Reply, stopped bool, err error) {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		err = r.guarded(asking, "the model's provider", r.rec.Job, func() (err error) {
			reply, err = provider.Complete(asking, req)
			return err
		})
	}()
	for {
		if _, done := poll(answered); done {
			return reply, false, err
		}
		select {
		case <-answered:
			return reply, false, err
		case <-r.rung:
			if mailErr := r.clearRungAndRead(ctx); mailErr != nil {
				cancel()
				<-answered
				return reply, false, mailErr
			}
			if r.job.Model == nil || r.job.Status == jobs.Paused {
				cancel()
				<-answered
				return reply, true, nil
			}
		}
	}
}

func (r *run) failed(eff jobs.AskModel, cause error) ([]jobs.Effect, error) {
	var perr *providers.Error
	if !errors.As(cause, &perr) && (r.Unavailable(cause) || errors.Is(cause, jobs.ErrFenced)) {
		return nil, cause // not the provider's: the mailbox could not be read
	}
	ev := jobs.ModelFailed{Turn: eff.Turn, Attempt: eff.Attempt, Error: cause.Error()}
	if wait, ok := providers.Retryable(cause); ok {
		ev.Retryable = true
		policy := r.agent.Retry().Policy(agents.ModelPolicy())
		ev.RetryAt = r.Now().Add(max(wait, policy.Delay(eff.Attempt, r.Random()))).UnixMilli()
	}
	return r.apply(ev)
}

func (r *run) replied(ctx context.Context, req jobs.ModelRequested, reply providers.Reply) ([]jobs.Effect, error) {
	ev := jobs.ModelReplied{Turn: req.Turn, Text: reply.Text, Provider: req.Provider, Model: req.Model, Note: reply.Note}
	if reply.Model != "" {
		ev.Model = reply.Model
	}
	style := r.agent.Style()
	parsed, err := agents.ParseReply(style, reply.Text, agents.ReplyLimits{})
	var bad *agents.ReplyError
	switch {
	case errors.As(err, &bad):
		ev.Bad = bad.Error()
		if bad.Reason == agents.TooLarge {
			ev.Text = shorten(ev.Text, 4000)
		}
	case err != nil:
		return nil, fmt.Errorf("engine: read the reply: %w", err)
	default:
		ev.Code = parsed.Code
		ev.Final = style == agents.MDDialog && parsed.Code == ""
	}
	if ev.Usage, err = json.Marshal(reply.Usage); err != nil {
		return nil, fmt.Errorf("engine: write usage: %w", err)
	}
	effects, err := r.apply(ev)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.buffer.Usage = append(r.buffer.Usage, jobs.Usage{
		Seq: r.job.Seq, At: r.Now(), Provider: ev.Provider, Model: ev.Model,
		Input: reply.Usage.InputTokens, Cached: reply.Usage.CachedTokens, Output: reply.Usage.OutputTokens, Cost: reply.Usage.Cost, Attempts: req.Attempt,
	})
	r.mu.Unlock()
	_, err = r.flush(ctx, false)
	return effects, err
}

// request writes the conversation from history.
func (r *run) request(ctx context.Context, turn int, route agents.Route) (providers.Request, error) {
	entries, err := r.Jobs.ModelHistory(ctx, r.rec.Job)
	if err != nil {
		return providers.Request{}, err
	}
	docs := toolDocs(r.catalog)
	system, err := agents.RenderPrompt(r.agent, agents.Render{
		Tools: docs, Params: r.rec.Spec.Params, SharedVars: r.rec.Spec.Shared, Locale: r.rec.Spec.Locale,
	})
	if err != nil {
		return providers.Request{}, fmt.Errorf("engine: render the prompt of %s: %w", r.rec.Spec.Role, err)
	}
	return providers.Request{
		Model:       route.Upstream,
		Messages:    agents.Conversation(system, r.agent.Style(), dialogue(entries), r.agent.HintLocale(r.rec.Spec.Locale)),
		Temperature: r.agent.Temperature(),
		Key:         fmt.Sprintf("%s/turn/%d", r.rec.Job, turn),
		Agent:       r.rec.Spec.Role,
		Job:         r.rec.Job.String(),
		Turn:        turn,
	}, nil
}
