package app_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMessageBeforeExitIsShownFirst: a message that came while the last cell was open is shown to the model before
// the job ends, although nobody rings again.
func TestMessageBeforeExitIsShownFirst(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/m.md":        simpleAgent,
		"agents/m.warmup.js": "await event('go')\nexit('too early')",
		"replies/m.md":       "```js\nexit('after the message')\n```\n",
	})
	k.work()
	job := k.submit("m", nil)
	k.until(job.ID, "SUSPENDED")
	if err := k.SendMessage(t.Context(), job.ID, json.RawMessage(`"wait, one more thing"`), ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Emit(t.Context(), "/", "go", "", nil); err != nil {
		t.Fatal(err)
	}
	if got := k.ended(job.ID); string(got.Result) != `"after the message"` || got.Completions != 0 {
		k.dump(job.ID)
		t.Errorf("result = %s, completions = %d; want the model asked before the job ends", got.Result, got.Completions)
	}
	want := []string{
		"submitted", "cell_started", "call_issued", "suspended", "call_settled", "cell_ended", "message_received",
		"model_requested", "model_replied", "cell_started", "cell_ended", "finished",
	}
	if diff := cmp.Diff(want, k.kinds(job.ID)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// TestValuesAreDeliveredAsTheyAreRecorded: history keeps values without white space between their tokens, and a replay
// compares what it delivers with what was delivered.
func TestValuesAreDeliveredAsTheyAreRecorded(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/m.md":        simpleAgent,
		"agents/m.warmup.js": "const a = await event('one')\nconst b = await loose()\nawait event('two')\nexit([a, b])",
		"tools/loose.sql":    "-- tool: loose()\n-- returns: value\nselect '{ \"z\" : 1.0,\n \"a\": [ ] }'::json\n",
	})
	k.work()
	job := k.submit("m", nil)
	k.until(job.ID, "SUSPENDED")
	k.exec(`select statek.emit('/', 'one', '{ "b" : [1, 2],  "text" : "two  spaces <&>" }')`)
	k.is("select blocked_why like '%two%' and owner is null from statek.job_state where job_id = $1", job.ID)
	k.exec("select statek.emit('/', 'two')")
	const want = `[{"b":[1,2],"text":"two  spaces <&>"},{"z":1,"a":[]}]`
	if got := k.ended(job.ID); string(got.Result) != want {
		k.dump(job.ID)
		t.Errorf("result = %s %s, want %s", got.Result, got.Error, want)
	}
}

// TestMessageBeforeTheWarmupIsGivenToIt: a message that came before the warmup began, or between two of its blocks, is
// there when the warmup asks for one.
func TestMessageBeforeTheWarmupIsGivenToIt(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/m.md":        simpleAgent,
		"agents/m.warmup.js": "const a = 1\n// ----------\nexit(await message())",
	})
	job := k.submit("m", nil)
	if err := k.SendMessage(t.Context(), job.ID, json.RawMessage(`"early"`), ""); err != nil {
		t.Fatal(err)
	}
	k.work()
	if got := k.ended(job.ID); string(got.Result) != `"early"` {
		k.dump(job.ID)
		t.Errorf("result = %s %s, want the message", got.Result, got.Error)
	}
}

// TestAnsweredMessagesAreNotWaitedFor: a cell that asks for messages again and again waits for the next one alone, and is not woken when the
// time of those that came has passed.
func TestAnsweredMessagesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/m.md": simpleAgent, "agents/m.warmup.js": "const got = []\nfor (let i = 0; i < 3; i++) got.push(await first(message({timeout: '1h'}), event('no')))\n" +
		"for (let i = 0; i < 3; i++) got.push(await message({timeout: '1h'}))\nexit(got)"})
	k.work()
	job := k.submit("m", nil)
	for i := range 6 {
		k.is(`select status = 'SUSPENDED' and owner is null and (select count(*) from statek.history_entries h
			where h.job_id = s.job_id and kind = 'call_settled' and payload ->> 'name' = 'message') = $2 from statek.job_state s where job_id = $1`, job.ID, i)
		if n := k.one("select count(*) from statek.waits where job_id = $1 and kind = 'message'", job.ID); n != 1 {
			t.Errorf("before message %d the job has %d waits for messages, want 1", i, n)
		}
		k.must(k.SendMessage(t.Context(), job.ID, json.RawMessage("1"), ""))
	}
	if got := k.ended(job.ID); string(got.Result) != "[1,1,1,1,1,1]" {
		k.dump(job.ID)
		t.Errorf("result = %s %s", got.Result, got.Error)
	}
	if n := k.one("select count(*) from statek.waits where job_id = $1", job.ID); n != 0 {
		t.Errorf("%d waits are left", n)
	}
}
