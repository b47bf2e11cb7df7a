package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/store"
)

// claiming is a temporal that gives back what nobody will see.
const claiming = pickNextTask + `-- release
update app.tasks set state = 'open', taken_by = null where id = (:value ->> 'id')::bigint and taken_by = :job_id and queue = :queue
`

// warm submits a job with a warmup of its own.
func (k *kit) warm(code string, vars map[string]any) uuid.UUID {
	k.t.Helper()
	role := "w_" + uuid.NewString()[:8]
	k.apply(files{"agents/" + role + ".md": simpleAgent, "agents/" + role + ".warmup.js": code})
	return k.submit(role, vars).ID
}

// one reads a number.
func (k *kit) one(sql string, args ...any) int {
	k.t.Helper()
	var n int
	if err := k.pool.QueryRow(k.t.Context(), sql, args...).Scan(&n); err != nil {
		k.t.Fatal(err)
	}
	return n
}

// await asks the database until a question is answered with yes.
func (k *kit) await(what, sql string, args ...any) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	for {
		var yes bool
		if err := k.pool.QueryRow(ctx, "select ("+sql+") from pg_sleep(0.005)", args...).Scan(&yes); err != nil {
			k.t.Fatalf("%s: %v", what, err)
		}
		if yes {
			return
		}
	}
}

func claimKit(t *testing.T) *kit {
	t.Helper()
	k := newKit(t, nil)
	k.exec(tasksSchema)
	k.apply(files{"agents/picker.md": simpleAgent, "temporals/pickNextTask.sql": claiming})
	return k
}

func TestTheFirstWaitWithdrawsTheOthers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code string
		wake string
		want string
	}{
		"first takes the ready one":       {"exit(await first(pickNextTask('a'), pickNextTask('b')))", "insert into app.tasks (queue, subject) values ('b', 'B')", `"subject":"B"`},
		"race is the same":                {"exit(await Promise.race([pickNextTask('a'), event('go')]))", "select statek.emit('/', 'go', '{\"subject\":\"E\"}')", `"subject":"E"`},
		"two of one group take one":       {"exit(await first(pickNextTask('a'), pickNextTask('a')))", "insert into app.tasks (queue, subject) values ('a', '1'), ('a', '2')", `"subject":"1"`},
		"a timeout decides":               {"try { await first(pickNextTask('a', {timeout: 60}), event('x')) } catch (e) { exit({subject: e.name}) }", "", `"subject":"TimeoutError"`},
		"a sleep decides":                 {"exit((await first(pickNextTask('a'), sleep(60))) ?? {subject: 'late'})", "", `"subject":"late"`},
		"any waits for a value":           {"exit(await Promise.any([event('x', {timeout: 30}), pickNextTask('a')]))", "select pg_sleep(0.2); insert into app.tasks (queue, subject) values ('a', 'A')", `"subject":"A"`},
		"an older wait joins":             {"const p = pickNextTask('a'); await event('go'); exit(await first(p, sleep('1h')))", "select statek.emit('/', 'go'); select pg_sleep(0.2); insert into app.tasks (queue, subject) values ('a', 'A')", `"subject":"A"`},
		"wrong arguments decide":          {"const p = pickNextTask('a'); try { await first(p, sleep('soon')) } catch (e) { exit({subject: e.name}) }", "", `"subject":"TypeError"`},
		"a race of thens stays a race":    {"exit(await Promise.race([pickNextTask('a').then((x) => x), event('go')]))", "select statek.emit('/', 'go', '{\"subject\":\"E\"}')", `"subject":"E"`},
		"all gives all":                   {"const [a, b] = await all(pickNextTask('a'), event('go')); exit({subject: a.subject + b.subject})", "insert into app.tasks (queue, subject) values ('a', 'A'); select statek.emit('/', 'go', '{\"subject\":\"E\"}')", `"subject":"AE"`},
		"again, in a loop, anew":          {"for (let i = 0; i < 3; i++) { const x = await first(pickNextTask('a'), sleep(40)); if (x) exit(x) }; exit({subject: 'none'})", "", `"subject":"none"`},
		"a tool and a wait are no set":    {"exit(await Promise.race([pickNextTask('a'), now()]))", "", `"subject":"now"`},
		"a message wins":                  {"exit(await first(message(), pickNextTask('a')))", "select statek.push_message($1, '{\"subject\":\"M\"}')", `"subject":"M"`},
		"and leaves the task to somebody": {"exit(await first(pickNextTask('a'), message()))", "insert into app.tasks (queue, subject) values ('a', 'A')", `"subject":"A"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := claimKit(t)
			k.apply(files{"agents/x.md": simpleAgent, "tools/now.sql": "-- tool: now()\n-- returns: value\nselect json_build_object('subject', 'now')\n"})
			k.work()
			id := k.warm(tc.code, nil)
			if tc.wake != "" {
				k.until(id, "SUSPENDED")
				for part := range strings.SplitSeq(tc.wake, "; ") {
					if strings.Contains(part, "$1") {
						k.exec(part, id)
					} else {
						k.exec(part)
					}
				}
			}
			if job := k.ended(id); !strings.Contains(string(job.Result), tc.want) {
				k.dump(id)
				t.Fatalf("result = %s (%s), want %s", job.Result, job.Error, tc.want)
			}
			if n := k.one("select count(*) - count(distinct payload::text) from statek.history where kind = 'waits_joined'"); n != 0 {
				t.Errorf("%d sets were recorded again by a replay", n)
			}
			k.exec("insert into app.tasks (queue, subject) values ('a', 'next'), ('b', 'next')")
			k.exec("select statek.emit('/', 'go')")
			k.await("no mark is left", "select not exists (select from statek.dirty) and not exists (select from statek.wait_checks where settle_xid = '0')")
			if n := k.one("select count(*) from app.tasks where subject = 'next' and state <> 'open'"); n != 0 {
				t.Errorf("a wait that had lost took %d tasks", n)
			}
			if n := k.one("select (select count(*) from statek.waits) + (select count(*) from statek.wait_sets)"); n != 0 {
				t.Errorf("%d waits and sets are left", n)
			}
		})
	}
}

// TestMembersAreTriedInTheirOrder: when all are ready the first argument wins, whichever group is older.
func TestMembersAreTriedInTheirOrder(t *testing.T) {
	t.Parallel()
	k := claimKit(t)
	k.work()
	k.exec("insert into app.tasks (queue, subject) values ('a', 'a'), ('b', 'b'), ('a', 'a'), ('b', 'b')")
	for _, order := range []string{"ba", "ab", "ba", "ab"} {
		code := fmt.Sprintf("exit((await first(pickNextTask('%c'), pickNextTask('%c'))).subject)", order[0], order[1])
		if job := k.ended(k.warm(code, nil)); string(job.Result) != fmt.Sprintf("%q", order[:1]) {
			t.Errorf("first of %s gave %s (%s)", order, job.Result, job.Error)
		}
	}
}

// TestValuesThatNobodySeesAreGivenBack: the value of a wait that was resolved when its cell had ended is released
// in the transaction that records it, and shown.
func TestValuesThatNobodySeesAreGivenBack(t *testing.T) {
	t.Parallel()
	const sleeps = "const [a] = await all(pickNextTask('q'), event('never'))"
	tests := map[string]struct {
		code  string
		begin func(k *kit)
		end   func(k *kit, id uuid.UUID)
	}{
		// The worker is stopped, so that the value is in the mailbox when the end comes.
		"cancelled in its sleep": {sleeps, func(*kit) {}, func(k *kit, id uuid.UUID) { k.must(k.Cancel(k.t.Context(), id, "enough")) }},
		"the cell ends before it is given": {
			"pickNextTask('q'); await event('go'); exit(1)", func(k *kit) { k.exec("select statek.emit('/', 'go')"); k.evaluate() }, func(*kit, uuid.UUID) {},
		},
		"paused, then cancelled": {sleeps, func(*kit) {}, func(k *kit, id uuid.UUID) {
			k.must(k.Pause(k.t.Context(), id, "wait"))
			stop := k.work()
			k.until(id, "PAUSED")
			stop()
			k.must(k.Cancel(k.t.Context(), id, "enough"))
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := claimKit(t)
			stop := k.work()
			id := k.warm(tc.code, nil)
			k.until(id, "SUSPENDED")
			stop()
			// Another process evaluates while no worker takes doorbells: the value waits in the mailbox.
			tc.begin(k)
			k.exec("insert into app.tasks (queue, subject) values ('q', 'precious')")
			k.evaluate()
			if n := k.one("select count(*) from statek.mailbox where job_id = $1 and kind = 'resolved' and payload::text like '%precious%'", id); n != 1 {
				t.Fatalf("%d values are in the mailbox, want 1", n)
			}
			tc.end(k, id)
			k.work()
			k.until(id, "DONE")
			k.await("the task is open again", "select state = 'open' and taken_by is null from app.tasks")
			k.await("history says so", "select exists (select from statek.history where job_id = $1 and kind = 'value_discarded' and payload ->> 'release' = 'done' and payload ->> 'name' = 'pickNextTask')", id)
			if lines := k.timeline(id); !strings.Contains(lines, "it was released") || !strings.Contains(lines, "precious") {
				t.Errorf("the timeline does not tell:\n%s", lines)
			}
			if n := k.one("select count(*) from statek.mailbox"); n != 0 {
				t.Errorf("%d rows are left in the mailbox", n)
			}
		})
	}
}

func TestReleaseThatFailsBlocksNobody(t *testing.T) {
	t.Parallel()
	k := claimKit(t)
	k.apply(files{"agents/x.md": simpleAgent, "temporals/pickNextTask.sql": pickNextTask + "-- release\nselect 1 / (length(:value::text) * 0)\n"})
	stop := k.work()
	id := k.warm("await all(pickNextTask('q'), event('never'))", nil)
	k.until(id, "SUSPENDED")
	stop()
	k.exec("insert into app.tasks (queue, subject) values ('q', 'lost')")
	k.evaluate()
	k.must(k.Cancel(t.Context(), id, "enough"))
	k.work()
	k.until(id, "DONE")
	k.await("the failure is in history", "select exists (select from statek.history where job_id = $1 and kind = 'value_discarded' and payload ->> 'release' like '22012: division by zero%')", id)
	if lines := k.timeline(id); !strings.Contains(lines, "releasing it failed: 22012") {
		t.Errorf("the timeline does not tell:\n%s", lines)
	}
}

// TestInterruptShowsTheModelWhatWasDiscarded: the note is in the next request.
func TestInterruptShowsTheModelWhatWasDiscarded(t *testing.T) {
	t.Parallel()
	k := claimKit(t)
	k.replies["talk.md"] = reply("```js\nconst [a] = await all(pickNextTask('q'), event('never'))\n```\n----------\n```js\nexit('done')\n```\n")
	k.apply(files{"agents/talk.md": simpleAgent})
	stop := k.work()
	id := k.submit("talk", nil).ID
	k.until(id, "SUSPENDED")
	stop()
	k.exec("insert into app.tasks (queue, subject) values ('q', 'precious')")
	k.evaluate()
	k.must(k.SendMessage(t.Context(), id, json.RawMessage(`"stop that"`), "interrupt"))
	k.work()
	if job := k.ended(id); string(job.Result) != `"done"` {
		k.dump(id)
		t.Fatalf("result = %s (%s)", job.Result, job.BlockedWhy)
	}
	k.await("the task is open again", "select state = 'open' from app.tasks")
	if order := k.kinds(id); !before(order, "value_discarded", "model_requested") {
		t.Errorf("the model was asked before it could know: %v", order)
	}
}

// before reports whether the last b comes after the first a.
func before(list []string, a, b string) bool {
	i, j := -1, -1
	for n, x := range list {
		if x == a && i < 0 {
			i = n
		}
		if x == b {
			j = n
		}
	}
	return i >= 0 && i < j
}

func TestJobsWaitForJobs(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.work()
	for name, tc := range map[string]struct{ code, want string }{ // each with an event of its own: they share a prefix
		"succeeded": {"await event('go'); exit({z: 1, a: [2]})", `{"id":"%s","outcome":"succeeded","result":{"z":1,"a":[2]},"error":null}`},
		"failed":    {"await event('up'); throw new Error('oops')", `{"id":"%s","outcome":"failed","result":null,"error":"warmup: Error: oops (cell:1:26)"}`},
		"cancelled": {"await event('never')", `{"id":"%s","outcome":"cancelled","result":null,"error":"enough"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := k.on(t)
			target := k.warm(tc.code, nil)
			k.until(target, "SUSPENDED")
			waiters := []uuid.UUID{k.warm("exit(await job(id))", map[string]any{"id": target}), k.warm("exit(await job(id, {timeout: '1m'}))", map[string]any{"id": target})}
			for _, id := range waiters {
				k.until(id, "SUSPENDED")
			}
			k.await("SQL explains it", "select why = 'the end of job ' || $2::text from statek.explain($1) where kind = 'job'", waiters[0], target)
			switch name {
			case "succeeded":
				k.exec("select statek.emit('/', 'go')")
			case "failed":
				k.exec("select statek.emit('/', 'up')")
			default:
				k.must(k.Cancel(t.Context(), target, "enough"))
			}
			late := k.warm("exit(await job(id))", map[string]any{"id": target})
			for _, id := range append(waiters, late) {
				job := k.ended(id)
				got := strings.ReplaceAll(string(job.Result), " ", "")
				want := strings.ReplaceAll(fmt.Sprintf(tc.want, target), " ", "")
				if got != want {
					t.Errorf("%s: result = %s (%s), want %s", name, got, job.Error, want)
				}
			}
		})
	}
}

func TestJobsOutsideOfThePrefixAreNotSeen(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.work()
	other := k.warm("exit('secret')", nil)
	k.ended(other)
	k.exec("update statek.jobs set prefix = '/other' where id = $1", other)
	for _, code := range []string{"try { await job(id) } catch (e) { exit([e.name, e.code, e.message.includes('/acme or below')]) }"} {
		if job := k.ended(k.warm(code, map[string]any{"id": other})); string(job.Result) != `["NotFoundError","not_found",true]` {
			t.Errorf("result = %s (%s)", job.Result, job.Error)
		}
	}
	late := k.ended(k.warm("try { await job('00000000-0000-7000-8000-000000000000', {timeout: '1m'}) } catch (e) { exit(e.name) }", nil))
	if string(late.Result) != `"NotFoundError"` {
		t.Errorf("result = %s", late.Result)
	}
	running := k.warm("await event('never')", nil)
	if job := k.ended(k.warm("try { await job(id, {timeout: 50}) } catch (e) { exit(e.name) }", map[string]any{"id": running})); string(job.Result) != `"TimeoutError"` {
		t.Errorf("result = %s", job.Result)
	}
}

// evaluate lets a process without workers do what is due.
func (k *kit) evaluate() {
	k.t.Helper()
	waits := store.NewWaits(k.pool, func() time.Time { return time.Now().UTC() })
	if _, _, err := waits.Tick(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

// TestWaitsAreRegisteredBeforeACallLeaves: a worker that dies in the call must not leave a wait that history shows
// and nobody will ever end.
func TestWaitsAreRegisteredBeforeACallLeaves(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	seen := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_ = k.pool.QueryRow(r.Context(), "select count(*) from statek.waits where kind = 'sleep'").Scan(&n)
		seen <- n
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	k.apply(files{"agents/x.md": simpleAgent, "tools/call.http.yaml": "description: Calls.\nmethod: GET\nurl: " + server.URL + "\n"})
	k.work()
	id := k.warm("await all(sleep(500), call()); exit(1)", nil)
	if n := <-seen; n != 1 {
		t.Errorf("%d waits were registered when the call left, want 1", n)
	}
	k.ended(id)
}

// TestWaitsOfAnEndedCellAreNotRegistered: one that its cell made and left behind in the same commit.
func TestWaitsOfAnEndedCellAreNotRegistered(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.work()
	job := k.ended(k.warm("const p = event('never'); try { await sleep('soon') } catch (e) { exit(e.name) }", nil))
	if n := k.one("select count(*) from statek.waits"); n != 0 || string(job.Result) != `"TypeError"` {
		t.Errorf("%d waits are left after %s", n, job.Result)
	}
}

// TestTwoThatWereResolvedBeforeTheyCompete: both values are there when first is called, neither has been given to
// the code. The earlier one wins, the other is released.
func TestTwoThatWereResolvedBeforeTheyCompete(t *testing.T) {
	t.Parallel()
	k := claimKit(t)
	stop := k.work()
	id := k.warm("const p = pickNextTask('a'), q = pickNextTask('b'); await event('go'); exit((await first(p, q)).subject)", nil)
	k.until(id, "SUSPENDED")
	stop()
	k.exec("select statek.emit('/', 'go')")
	k.evaluate()
	for _, queue := range []string{"b", "a"} {
		k.exec("insert into app.tasks (queue, subject) values ($1, $1)", queue)
		k.evaluate()
	}
	if n := k.one("select count(*) from statek.mailbox"); n != 3 {
		t.Fatalf("%d values are in the mailbox, want 3", n)
	}
	k.work()
	if job := k.ended(id); string(job.Result) != `"b"` {
		k.dump(id)
		t.Errorf("result = %s (%s), want b, which was first", job.Result, job.Error)
	}
	k.await("a is free again", "select (select state from app.tasks where queue = 'a') = 'open' and (select state from app.tasks where queue = 'b') = 'taken'")
	k.await("once", "select count(*) = 1 from statek.history where job_id = $1 and kind = 'value_discarded'", id)
}

// TestMessageThatHasWonIsGivenAfterACrash: the worker has won the set for the message and dies before it records it.
func TestMessageThatHasWonIsGivenAfterACrash(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	stop := k.work()
	id := k.warm("exit(await first(message(), event('go')))", nil)
	k.until(id, "SUSPENDED")
	stop()
	dead := jobs.Hold{Job: id, Owner: uuid.New()}
	k.exec("insert into statek.workers (id, host, pid, version, beat_at) values ($1, 'elsewhere', 1, '', now() - interval '1 hour')", dead.Owner)
	if err := k.pool.QueryRow(t.Context(), "update statek.job_state set owner = $1, epoch = epoch + 1 where job_id = $2 returning epoch", dead.Owner, id).Scan(&dead.Epoch); err != nil {
		t.Fatal(err)
	}
	k.exec("insert into statek.mailbox (job_id, kind, payload) values ($1, 'message', '\"hello\"')", id)
	if won, err := store.New(k.pool, nil, time.Now).TakeMessage(t.Context(), dead, 1, 1); !won || err != nil {
		t.Fatalf("the message did not win: %v, %v", won, err)
	}
	k.exec("select statek.emit('/', 'go', '\"too late\"')")
	k.work()
	if job := k.ended(id); string(job.Result) != `"hello"` {
		k.dump(id)
		t.Errorf("result = %s (%s)", job.Result, job.Error)
	}
}
