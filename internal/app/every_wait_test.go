package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
)

// everyWait is a call of each wait that others end, with a place for more options, and why explain says that it is open.
var everyWait = map[string]struct{ call, why string }{
	"event":              {"event('paid', {%s})", "the event 'paid' at /acme or the event 'paid' at /"},
	"a keyed event":      {"event('paid', {key: 'k', %s})", "the event 'paid#k' at /acme or the event 'paid#k' at /"},
	"message":            {"message({%s})", "a message: select statek.push_message('"},
	"approval":           {"approval({title: 'Pay?', assignee: 'ada', %s})", "a person: select statek.decide("},
	"job":                {"job(other, {%s})", "the end of job "},
	"an object":          {"objects.changed('c', 'k', {%s})", "a committed change of the object 'k' in c at /acme"},
	"a collection":       {"objects.changed('c', {%s})", "a committed change of any object in c at /acme"},
	"temporal":           {"pickNextTask('q', {%s})", "a committed change of app.tasks where the key is 'q'"},
	"temporal, by names": {"pickNextTask({queue: 'q', %s})", "a committed change of app.tasks where the key is 'q'"},
}

// TestEveryWaitTimesOut: alone, at once, and as a member of first, which the timeout ends for all; what becomes true afterwards is nobody's.
func TestEveryWaitTimesOut(t *testing.T) {
	t.Parallel()
	for name, w := range everyWait {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := claimKit(t)
			k.work()
			vars := map[string]any{"other": k.warm("await event('never')", nil)}
			var ids []uuid.UUID
			for code, timeout := range map[string]string{"await %s": "timeout: 50", "await first(event('never'), %s)": "timeout: 60", "await first(%s, event('never'))": "timeout: 0"} {
				ids = append(ids, k.warm("try { "+fmt.Sprintf(code, fmt.Sprintf(w.call, timeout))+" } catch (e) { await event('go'); exit([e.name, e.code, await message()]) }", vars))
			}
			k.await("all have timed out", "select count(*) = 3 from statek.job_state where blocked_why = 'waits for event(\"go\")'")
			k.exec("insert into app.tasks (queue, subject) values ('q', 'late')")
			k.exec("select statek.emit('/', 'paid'), statek.emit('/', 'paid', '1', 'k'), statek.put_object('/acme', 'c', 'k', '1'), statek.cancel_job($1, 'enough')", vars["other"])
			page, err := k.Approvals(t.Context(), app.ApprovalFilter{})
			k.must(err)
			for _, q := range page.Approvals {
				_, err := k.Decide(t.Context(), q.ID, app.Decision{Option: text("approve")}, "ada")
				k.refused(err, app.KindGone, "expired")
			}
			for _, id := range ids {
				k.exec("select statek.push_message($1, '\"late\"')", id)
			}
			k.emit("go", "1")
			for _, id := range ids {
				if job := k.ended(id); string(job.Result) != `["TimeoutError","timeout","late"]` {
					k.dump(id)
					t.Errorf("result = %s %s", job.Result, job.Error)
				}
			}
			if n := k.one("select (select count(*) from statek.waits) + (select count(*) from statek.wait_sets) + (select count(*) from app.tasks where state <> 'open')"); n != 0 {
				t.Errorf("%d waits, sets and claimed tasks are left", n)
			}
		})
	}
}

// TestEveryWaitIsExplained: who can end it, when it times out, and what its condition said last, the same over SQL.
func TestEveryWaitIsExplained(t *testing.T) {
	t.Parallel()
	k := claimKit(t)
	k.work()
	for name, w := range everyWait {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := k.on(t)
			other := k.warm("await event('never')", nil)
			id := k.warm("await "+fmt.Sprintf(w.call, "timeout: '1h'"), map[string]any{"other": other})
			k.until(id, "SUSPENDED")
			k.await("it was looked at, if it has a condition", "select coalesce(bool_and(last_result = 'idle' or kind in ('message', 'approval')), false) from statek.explain($1) where call is not null", id)
			ex, err := k.Explain(t.Context(), id)
			if err != nil || len(ex.Waits) != 1 {
				t.Fatalf("explained as %+v (%v), want one wait", ex, err)
			}
			got := ex.Waits[0]
			if !strings.HasPrefix(got.Why, w.why) || !strings.Contains(got.Why, "; it times out at ") || got.Due == nil || time.Until(*got.Due) > time.Hour {
				t.Errorf("got %+v, want %s … and when it times out", got, w.why)
			}
			if !strings.HasPrefix(ex.Why, "waits for "+strings.SplitN(w.call, "(", 2)[0]) {
				t.Errorf("the job %s", ex.Why)
			}
			if conditional := got.Kind != "message" && got.Kind != "approval"; conditional != (got.LastAt != nil && len(got.Deps) > 0) {
				t.Errorf("got %+v, want the last look and the deps of a wait with a condition", got)
			}
			if sql := k.single("select why from statek.explain($1) where call = 1", id); sql != got.Why {
				t.Errorf("SQL says %q, REST %q", sql, got.Why)
			}
		})
	}
}
