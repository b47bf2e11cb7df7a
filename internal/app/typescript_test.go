package app_test

import (
	"encoding/json"
	"testing"
)

func TestTypeScriptCellIsReplayedFromTheTextThatRan(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/ts.md":        simpleAgent,
		"agents/ts.warmup.js": "interface Paid { amount: number }\nconst p: Paid = await event('paid')\nexit(p.amount as number)",
	})
	k.work()
	job := k.submit("ts", nil)
	k.until(job.ID, "SUSPENDED")
	if _, _, err := k.Emit(t.Context(), "/acme", "paid", "", json.RawMessage(`{"amount":3}`)); err != nil {
		t.Fatal(err)
	}
	if got := k.ended(job.ID); string(got.Result) != "3" {
		k.dump(job.ID)
		t.Fatalf("result = %s (%s), want 3", got.Result, got.Error)
	}
	rows, err := k.History(t.Context(), job.ID, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var started struct{ Source, Transformed string }
	if err := json.Unmarshal(rows[1].Payload, &started); err != nil || started.Transformed == "" || started.Source == started.Transformed {
		t.Errorf("the start of the cell records %q as transformed text of %q (%v)", started.Transformed, started.Source, err)
	}
}
