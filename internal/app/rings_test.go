package app_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
)

// exec runs SQL beside the App.
func (k *kit) exec(sql string, args ...any) {
	k.t.Helper()
	if _, err := k.pool.Exec(k.t.Context(), sql, args...); err != nil {
		k.t.Fatal(err)
	}
}

// everything is who has which job, and which doorbells there are.
const everything = `select coalesce(string_agg(line, E'\n'), 'there is nothing') from (
	(select to_jsonb(s)::text as line from statek.job_state s order by s.changed_at desc limit 20) union all
	(select to_jsonb(w)::text from statek.workers w) union all
	(select to_jsonb(r)::text from river.river_job r where r.state not in ('completed') order by r.id desc limit 20)) x`

// is waits for a query to become true.
func (k *kit) is(sql string, args ...any) {
	k.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for yes := false; !yes; {
		if err := k.pool.QueryRow(k.t.Context(), sql, args...).Scan(&yes); err != nil {
			k.t.Fatal(err)
		}
		if !yes && time.Now().After(deadline) {
			k.t.Fatalf("still not so: %s\n%s", sql, k.single(everything))
		}
		if !yes {
			k.exec("select pg_sleep(0.005)")
		}
	}
}

// wantKinds compares the history, but for how often the job slept.
func (k *kit) wantKinds(id uuid.UUID, want ...string) {
	k.t.Helper()
	if diff := cmp.Diff(want, k.kinds(id)); diff != "" {
		k.dump(id)
		k.t.Errorf("history (-want +got):\n%s", diff)
	}
}

const busyWarmup = `print('one')
await event('go')
print('two')
const n = await count('a')
await sleep(20)
print('three', n)
exit(n)
`

const countTool = "-- tool: count(what text)\n-- returns: value\ninsert into app.counted (what, job) values (:what, :job_id) returning n\n"

const countSchema = `
create schema app;
create table app.counted (n bigint generated always as identity primary key, what text, job uuid);
grant usage on schema app to statek_tool;
grant select, insert on app.counted to statek_tool;`

// TestSpuriousAndDoubledRingsChangeNothing: jobs that are rung all the time have the history of jobs that are not.
func TestSpuriousAndDoubledRingsChangeNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.exec(countSchema)
	k.apply(files{"agents/busy.md": simpleAgent, "agents/busy.warmup.js": busyWarmup, "tools/count.sql": countTool})
	k.work()
	k.work()
	var ids []uuid.UUID
	for range 8 {
		ids = append(ids, k.submit("busy", nil).ID)
	}
	ringing, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ringing.Err() == nil {
			_, _ = k.pool.Exec(ringing, "select statek.ring($1, true), statek.ring($1, true)", ids)
			_, _ = k.pool.Exec(ringing, "select pg_sleep(0.003)")
		}
	}()
	k.eventually(func() []uuid.UUID { return k.withStatus(ids, "SUSPENDED") }, func(s []uuid.UUID) bool { return len(s) == len(ids) })
	if _, _, err := k.Emit(t.Context(), "/", "go", "", nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if got := k.ended(id); got.Outcome != "succeeded" {
			t.Errorf("job ended %s: %s", got.Outcome, got.Error)
		}
	}
	stop()
	<-done
	for _, id := range ids {
		k.wantKinds(id, "submitted", "cell_started", "console", "call_issued", "suspended", "call_settled", "console",
			"call_issued", "call_settled", "call_issued", "suspended", "call_settled", "console", "cell_ended", "finished")
	}
	var counted int
	if err := k.pool.QueryRow(t.Context(), "select count(*) from app.counted").Scan(&counted); err != nil || counted != len(ids) {
		t.Errorf("the tool ran %d times (%v), want once per job", counted, err)
	}
}

// TestLostDoorbellIsFoundBySweeping: the job is there, nobody was told.
func TestLostDoorbellIsFoundBySweeping(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "await event('never'); exit(1)"})
	job := k.submit("a", nil)
	k.exec("delete from river.river_job")
	k.exec("update statek.job_state set freed_at = freed_at - interval '6 seconds'")
	k.work()
	k.until(job.ID, "SUSPENDED")
	k.is("select owner is null from statek.job_state where job_id = $1", job.ID)
	// The same for mail: cancelled, and the doorbell is lost.
	k.exec("insert into statek.mailbox (job_id, kind, created_at) values ($1, 'cancel', now() - interval '6 seconds')", job.ID)
	if got := k.ended(job.ID); got.Outcome != "cancelled" {
		t.Errorf("outcome = %s, want cancelled", got.Outcome)
	}
}

// TestJobThatItsOwnerDoesNotRunIsGivenBack: the reply to a claim was lost, or the run ended while the database was away.
func TestJobThatItsOwnerDoesNotRunIsGivenBack(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "exit('given back')"})
	k.work()
	k.is("select exists (select from statek.workers)")
	runAt := time.Now().Add(time.Hour)
	job, err := k.Submit(t.Context(), app.SubmitRequest{Role: "a", RunAt: &runAt})
	if err != nil {
		t.Fatal(err)
	}
	k.exec(`update statek.job_state set owner = (select id from statek.workers), epoch = 7, wake_at = null,
		core = replace(jsonb_set(core::jsonb, '{run_at}', '0')::text, '{"seq": ', '{"seq":')::json where job_id = $1`, job.ID)
	if got := k.ended(job.ID); string(got.Result) != `"given back"` {
		t.Errorf("result = %s", got.Result)
	}
}

// TestWorkerThatWasDeclaredDeadComesBack under a new id, and its jobs go on.
func TestWorkerThatWasDeclaredDeadComesBack(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/a.md":        simpleAgent,
		"agents/a.warmup.js": "await event('go')",
		"replies/a.md":       "<!-- delay: 1h -->\n```js\nexit(1)\n```",
	})
	k.work()
	job, asleep := k.submit("a", nil), k.submit("a", nil)
	k.until(job.ID, "SUSPENDED")
	k.until(asleep.ID, "SUSPENDED")
	if err := k.SendMessage(t.Context(), job.ID, json.RawMessage(`"x"`), ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Emit(t.Context(), "/", "go", "", nil); err != nil {
		t.Fatal(err)
	}
	k.is("select exists (select from statek.history where job_id = $1 and kind = 'model_requested')", job.ID)
	k.exec("update statek.workers set dead_at = clock_timestamp()")
	k.is("select count(*) = 2 and count(dead_at) = 1 from statek.workers")
	k.is("select count(*) = 2 from statek.history where job_id = $1 and kind = 'model_requested'", job.ID)
	for _, id := range []uuid.UUID{job.ID, asleep.ID} {
		if err := k.Cancel(t.Context(), id, "enough"); err != nil {
			t.Fatal(err)
		}
		if got := k.ended(id); got.Outcome != "cancelled" {
			t.Errorf("outcome = %s", got.Outcome)
		}
	}
}

// TestRungForNothingStillSaysWhatItWaitsFor: whoever takes a sleeping job in vain runs no cell, and must not forget its arguments.
func TestRungForNothingStillSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.work()
	id := k.warm("exit(await first(event('go', {key: 'k'}), sleep('1h')))", nil)
	k.until(id, "SUSPENDED")
	for name, ring := range map[string]string{"a ring": "select statek.ring(array[$1::uuid], true)", "a message": "select statek.push_message($1, '1')"} {
		k.await("nobody holds it", "select owner is null from statek.job_state where job_id = $1", id)
		epoch := k.one("select epoch from statek.job_state where job_id = $1", id)
		k.exec(ring, id)
		k.await("it was taken and given up", "select epoch > $2 and owner is null from statek.job_state where job_id = $1", id, epoch)
		if job, err := k.GetJob(t.Context(), id); err != nil || job.BlockedWhy != `waits for event("go",{"key":"k"}), sleep("1h")` {
			t.Errorf("after %s it %s (%v)", name, job.BlockedWhy, err)
		}
	}
}
