package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// futuresKit has a ledger of effects and a wait over data.
func futuresKit(t *testing.T) *kit {
	t.Helper()
	k := claimKit(t)
	k.exec("create table app.effects (id bigint generated always as identity, what text); grant insert, select on app.effects to statek_tool; grant usage on all sequences in schema app to statek_tool")
	k.apply(files{
		"agents/x.md":      simpleAgent,
		"tools/effect.sql": "-- tool: effect(what text)\n-- returns: value\ninsert into app.effects (what) values (:what) returning what\n",
	})
	k.work()
	return k
}

// effects lists what tools have done, in order.
func (k *kit) effects() string {
	k.t.Helper()
	var list string
	if err := k.pool.QueryRow(k.t.Context(), "select coalesce(string_agg(what, ' ' order by id), '') from app.effects").Scan(&list); err != nil {
		k.t.Fatal(err)
	}
	return list
}

func (k *kit) emit(name, payload string) {
	k.t.Helper()
	k.exec("select statek.emit('/', $1, $2::text::json)", name, payload)
}

// console lists what a job has printed, each line as often as history has it.
func (k *kit) console(id uuid.UUID) string {
	k.t.Helper()
	var lines string
	const sql = "select coalesce(string_agg(l, '|' order by seq, n), '') from statek.history, json_array_elements_text(payload -> 'lines') with ordinality x(l, n) where job_id = $1 and kind = 'console'"
	if err := k.pool.QueryRow(k.t.Context(), sql, id).Scan(&lines); err != nil {
		k.t.Fatal(err)
	}
	return lines
}

// slept counts how often a job was put to sleep.
func (k *kit) slept(id uuid.UUID) int {
	k.t.Helper()
	return k.one("select count(*) from statek.history where job_id = $1 and kind = 'suspended'", id)
}

// The cases 35 to 45 of the system that this one re-creates. There a suspension was an exception and a position in
// a list of statements; here it is a promise, so it may stand anywhere, and what came before it is replayed, not
// repeated.

// Case 35.
func TestWhatCameBeforeAWaitIsNotRepeated(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	id := k.warm("await effect('0'); print('zero')\nawait effect('1'); print('one')\nconst n = await event('n'); print('two', n)\nawait effect('3'); exit(n)", nil)
	job := k.until(id, "SUSPENDED")
	if got := k.effects(); got != "0 1" || !strings.Contains(job.BlockedWhy, `event("n")`) || job.BlockedOn != "event" {
		t.Errorf("before the wait: effects %q, blocked on %s: %s", got, job.BlockedOn, job.BlockedWhy)
	}
	k.emit("n", "5")
	if got := k.ended(id); string(got.Result) != "5" || k.effects() != "0 1 3" || k.console(id) != "zero|one|two 5" {
		t.Errorf("result %s, effects %q, console %q", got.Result, k.effects(), k.console(id))
	}
}

// Case 36.
func TestTwoWaitsSuspendTwice(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	id := k.warm("print('a')\nprint(await event('x'))\nprint('b')\nprint(await event('y'))\nexit('c')", nil)
	k.until(id, "SUSPENDED")
	k.emit("x", "1")
	k.await("it sleeps in the second wait", "select count(*) = 1 from statek.waits where job_id = $1 and call = 2", id)
	k.until(id, "SUSPENDED")
	k.emit("y", "2")
	if got := k.ended(id); k.console(id) != "a|1|b|2" || k.slept(id) != 2 {
		t.Errorf("%s: console %q, slept %d times", got.Outcome, k.console(id), k.slept(id))
	}
}

// Case 37.
func TestWaitInsideOfAnExpressionHasNoEffectBefore(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	id := k.warm("let total = 1\ntotal = 10 + (await event('n')) * 2\nprint(await effect(`got ${total} ${await event('m')}`))\nexit(total)", nil)
	k.until(id, "SUSPENDED")
	if k.effects() != "" {
		t.Errorf("effects before readiness: %q", k.effects())
	}
	k.emit("n", "5")
	k.await("the second wait", "select count(*) = 1 from statek.waits where job_id = $1 and call = 2", id)
	k.emit("m", `"m"`)
	if got := k.ended(id); string(got.Result) != "20" || k.effects() != "got 20 m" {
		t.Errorf("result %s, effects %q", got.Result, k.effects())
	}
}

// Case 38: the value of a bare expression is echoed, and the function is not called again.
func TestBareWaitEchoesItsValueOnce(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	k.replies["talker.md"] = reply("```js\nconst f = async () => { await effect('called'); return event('n') }\nawait f()\n```\n----------\n```js\nexit('done')\n```\n")
	k.apply(files{"agents/talker.md": simpleAgent})
	id := k.submit("talker", nil).ID
	k.until(id, "SUSPENDED")
	k.emit("n", `{"n":5}`)
	k.ended(id)
	if n := k.one("select count(*) from statek.history where job_id = $1 and kind = 'cell_ended' and payload ->> 'echo' = '{n: 5}'", id); n != 1 || k.effects() != "called" {
		k.dump(id)
		t.Errorf("%d cells echoed the value, effects %q", n, k.effects())
	}
}

// Case 39: a function gets the promise when it is given one, and the value when that is awaited. A tool is told to
// be given values (there, any parameter could take either).
func TestFunctionsGetPromisesOrValues(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	id := k.warm("const kind = (x) => x instanceof Promise ? 'promise' : typeof x\nconst p = event('n')\nconst before = kind(p)\n"+
		"let refused; try { await effect(p) } catch (e) { refused = e.message }\nexit([before, kind(await p), refused])", nil)
	k.await("it waits", "select count(*) = 1 from statek.waits where job_id = $1", id)
	k.emit("n", "5")
	if got := string(k.ended(id).Result); got != `["promise","number","argument 1 of effect is a promise; await it first"]` {
		t.Errorf("result = %s", got)
	}
}

// Case 40: a suspension inside of a function of an earlier cell continues in that function.
func TestWaitInsideOfAFunctionContinuesThere(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	id := k.warm("async function twice(name) {\n  const out = []\n  for (let i = 0; i < 2; i++) { await effect(`${name}${i}`); out.push(await event(name)) }\n  return out\n}\n"+
		"// ----------\nconst got = await twice('n')\nexit(got)", nil)
	if job, err := k.GetJob(t.Context(), id); err != nil || job.Outcome == "failed" {
		t.Fatalf("%+v (%v)", job, err)
	}
	k.until(id, "SUSPENDED")
	k.emit("n", "1")
	k.await("the second round", "select count(*) = 1 from statek.waits where job_id = $1 and call = 4", id)
	k.emit("n", "2")
	if got := k.ended(id); string(got.Result) != "[1,2]" || k.effects() != "n0 n1" {
		t.Errorf("result %s, effects %q", got.Result, k.effects())
	}
}

// Case 41: calls of the same reply that were made before the suspension are not made again.
func TestToolCallsOfAReplyAreNotMadeAgain(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	k.replies["once.md"] = reply("```js\nconst [a, n] = await Promise.all([effect('a'), event('n')])\nawait effect('b')\nexit(a + n)\n```\n")
	k.apply(files{"agents/once.md": simpleAgent})
	id := k.submit("once", nil).ID
	k.until(id, "SUSPENDED")
	k.emit("n", `"!"`)
	if got := k.ended(id); string(got.Result) != `"a!"` || k.effects() != "a b" {
		k.dump(id)
		t.Errorf("result %s (%s), effects %q", got.Result, got.BlockedWhy, k.effects())
	}
}

// Case 42: the elements of a list of waits resolve independently; what is no list cannot be unpacked.
func TestListOfWaitsResolvesElementByElement(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	id := k.warm("const [a, b] = [event('a'), event('b')]\nprint('b', await b)\nprint('a', await a)\n"+
		"try { const [c] = event('c') } catch (e) { exit(e.name) }", nil)
	k.until(id, "SUSPENDED")
	k.emit("b", "2")
	k.await("b is printed", "select exists (select from statek.history_entries where job_id = $1 and kind = 'call_settled' and call = 2)", id)
	k.emit("a", "1")
	if got := k.ended(id); string(got.Result) != `"TypeError"` || k.console(id) != "b 2|a 1" {
		t.Errorf("result %s, console %q", got.Result, k.console(id))
	}
}

// Case 43: from the model's code too, with the losers withdrawn.
func TestAnyAndAllOverWaits(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	k.replies["both.md"] = reply("```js\nlet refused = []\nfor (const f of [first, all]) try { f() } catch (e) { refused.push(e.name) }\n" +
		"const one = await first(event('a'), event('b'))\nconst two = await all(event('c'), event('d'))\nexit([one, two, refused])\n```\n")
	k.apply(files{"agents/both.md": simpleAgent})
	id := k.submit("both", nil).ID
	k.until(id, "SUSPENDED")
	k.emit("b", `"b"`)
	k.await("the others", "select count(*) = 2 from statek.waits where job_id = $1 and call > 2", id)
	k.until(id, "SUSPENDED")
	k.emit("d", `"d"`)
	k.await("one of two is not enough", "select count(*) = 1 from statek.waits where job_id = $1", id)
	k.emit("c", `"c"`)
	got := k.ended(id)
	if diff := cmp.Diff(`["b",["c","d"],["TypeError","TypeError"]]`, string(got.Result)); diff != "" {
		k.dump(id)
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// Case 45; 44 is TestGoTemporalExtendsAnother.
func TestWaitInAWarmupKeepsItWarmingUp(t *testing.T) {
	t.Parallel()
	k := futuresKit(t)
	k.replies["late.md"] = reply("```js\nexit(early + later)\n```\n")
	k.apply(files{"agents/late.md": simpleAgent, "agents/late.warmup.js": "const early = await event('early')\n// ----------\nconst later = await event('later')\n"})
	id := k.submit("late", nil).ID
	for i, name := range []string{"early", "later"} {
		k.await("block waits", "select s.status = 'SUSPENDED' and (s.core #>> '{cell,index}')::int = $2 from statek.job_state s where job_id = $1", id, i)
		if job, err := k.GetJob(t.Context(), id); err != nil || job.Turns != 0 || job.Error != "" {
			t.Fatalf("while warming up: %+v (%v)", job, err)
		}
		k.emit(name, `"`+name+`"`)
	}
	if got := k.ended(id); string(got.Result) != `"earlylater"` {
		k.dump(id)
		t.Errorf("result = %s (%s)", got.Result, got.BlockedWhy)
	}
}
