package app_test

import (
	"encoding/json"
	"errors"
	"testing"

	"statek/internal/app"
)

func TestVariableNamedLikeABuiltInWaitMustBeGiven(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/reads.md":        simpleAgent,
		"agents/reads.warmup.js": "print(event)\nexit(event.n)",
		"agents/calls.md":        simpleAgent,
		"agents/calls.warmup.js": "exit(await event('paid'))",
	})
	_, err := k.Submit(t.Context(), app.SubmitRequest{Role: "reads", Prefix: "/acme"})
	var refused *app.Error
	if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0].Field != "shared_vars.event" {
		t.Fatalf("submit without event = %v, want a refusal that names shared_vars.event", err)
	}
	if _, err := k.Submit(t.Context(), app.SubmitRequest{Role: "calls", Prefix: "/acme"}); err != nil {
		t.Errorf("a warmup that only calls event() was refused: %v", err)
	}
	k.work()
	job, err := k.AgentEvent(t.Context(), "reads", "/acme", json.RawMessage(`{"n":7}`), app.SubmitRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := k.ended(job.ID); string(got.Result) != "7" {
		t.Errorf("result = %s (%s), want the event's n", got.Result, got.Error)
	}
}
