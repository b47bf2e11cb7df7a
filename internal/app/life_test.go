package app_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDirectJobRunsFromWarmupToExit(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/helper.md":        simpleAgent,
		"agents/helper.warmup.js": "print(event.subject)\n",
		"replies/helper.md":       "Let me see.\n```js\nconst answer = event.n * 2\nprint('doubled', answer)\n```\n----------\n```js\nexit({answer})\n```\n",
	})
	k.work()
	job := k.submit("helper", map[string]any{"event": map[string]any{"subject": "hello", "n": 21}})
	got := k.ended(job.ID)
	if got.Outcome != "succeeded" || string(got.Result) != `{"answer":42}` {
		k.dump(job.ID)
		t.Fatalf("job ended %s with %s (%s)", got.Outcome, got.Result, got.Error)
	}
	want := []string{
		"submitted", "cell_started", "console", "cell_ended", "model_requested", "model_replied",
		"cell_started", "console", "cell_ended", "model_requested", "model_replied", "cell_started", "cell_ended", "finished",
	}
	if diff := cmp.Diff(want, k.kinds(job.ID)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	vars, err := k.Variables(t.Context(), job.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]json.RawMessage{}
	for _, v := range vars {
		byName[v.Name] = v.Value
	}
	if string(byName["answer"]) == "" || string(byName["event"]) == "" {
		t.Errorf("variables = %v, want answer and event", byName)
	}
}
