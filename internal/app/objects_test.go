package app_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/app"
)

// single reads a single text.
func (k *kit) single(sql string, args ...any) string {
	k.t.Helper()
	var text *string
	if err := k.pool.QueryRow(k.t.Context(), sql, args...).Scan(&text); err != nil {
		k.t.Fatalf("%s: %v", sql, err)
	}
	if text == nil {
		return ""
	}
	return *text
}

// TestObjectsFromACell uses every function on objects, and shows who did what.
func TestObjectsFromACell(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": `
const log = []
const made = await objects.put('tasks', 'a/1', {z: 1, title: 'One', done: false}, {version: 0})
log.push(made.version, await objects.get('tasks', 'nothing'))
try { await objects.put('tasks', 'a/1', 1, {version: null}) } catch (e) { log.push(e.name, e.code, e.version, e.message) }
log.push((await objects.update('tasks', 'a/1', {done: true, title: null}, {version: 1})).value)
log.push((await objects.update('tasks', 'n', (v = 0) => v + 1)).value, (await objects.update('tasks', 'n', (v) => v + 1)).version)
const keys = []
for (let after; after !== null;) {
  const page = await objects.list('tasks', {limit: 1, after})
  keys.push(...page.objects.map((o) => o.key))
  after = page.next
}
log.push(keys, (await objects.list('tasks', {prefix: 'a/'})).objects[0].value.done)
log.push((await objects.delete('tasks', 'a/1')).version, await objects.delete('tasks', 'a/1'), await objects.get('tasks', 'a/1'))
try { await objects.get('my tasks', 'a') } catch (e) { log.push(e.name) }
exit(log)
`})
	k.work()
	job := k.ended(k.submit("a", nil).ID)
	const want = `[1,null,"ConflictError","conflict",1,"object tasks/a/1 is at version 1, expected none",{"z":1,"done":true},1,2,["a/1","n"],true,3,null,null,"TypeError"]`
	if diff := cmp.Diff(want, string(job.Result)); diff != "" {
		k.dump(job.ID)
		t.Errorf("%s: result (-want +got):\n%s", job.Error, diff)
	}
	if got := k.single("select string_agg(version || ' ' || coalesce(value::text, 'deleted'), ', ' order by version) from statek.object_history where prefix = '/acme' and key = 'a/1'"); got !=
		`1 {"z": 1, "done": false, "title": "One"}, 2 {"z": 1, "done": true}, 3 deleted` {
		t.Errorf("history of the object: %s", got)
	}
	if got := k.single("select by from statek.object_history where key = 'a/1' and version = 2"); got != fmt.Sprintf("job %s/1/4", job.ID) {
		t.Errorf("version 2 is by %s, want call 4 of the job", got)
	}
	if got := k.single("select what from statek.job_timeline where job_id = $1 and cell = 1 and call = 1 and kind = 'call_settled'", job.ID); !strings.HasPrefix(got, `objects.put returned {"key": "a/1", "version": 1`) {
		t.Errorf("timeline: %s", got)
	}
}

// TestObjectExample runs what docs/concepts.md shows.
func TestObjectExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/concepts.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Object\n")
	_, section, _ = strings.Cut(section, "```js\n")
	code, _, found := strings.Cut(section, "```")
	if !found {
		t.Fatal("docs/concepts.md shows no code below Object")
	}
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": code + "exit('shown')"})
	k.work()
	job := k.ended(k.submit("a", nil).ID)
	const want = `ConflictError it is at version 3|{open: 1, label: "EU"} 1 true 4`
	if got := k.single("select string_agg(payload -> 'lines' ->> 0, '|' order by seq) from statek.history where kind = 'console'"); got != want || string(job.Result) != `"shown"` {
		k.dump(job.ID)
		t.Errorf("printed %s, want %s (%s)", got, want, job.Error)
	}
}

// TestObjectsBelongToAPrefix: jobs of one prefix share them, and those of any other do not see them. A shared
// variable of the name hides the functions.
func TestObjectsBelongToAPrefix(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/a.md": simpleAgent, "agents/a.warmup.js": "const old = await objects.get('c', 'k')\nawait objects.put('c', 'k', 1)\nexit(old === null ? 'none' : old.version)",
		"agents/v.md": simpleAgent, "agents/v.warmup.js": "exit(objects.map((o) => o + 1))",
	})
	k.work()
	var got []string
	for _, prefix := range []string{"/acme", "/acme", "/acme/dev", "/other", "/acme"} {
		job, err := k.Submit(t.Context(), app.SubmitRequest{Role: "a", Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(k.ended(job.ID).Result))
	}
	if diff := cmp.Diff([]string{`"none"`, "1", `"none"`, `"none"`, "2"}, got); diff != "" {
		t.Errorf("versions found (-want +got):\n%s", diff)
	}
	if job := k.ended(k.submit("v", map[string]any{"objects": []int{1, 2}}).ID); string(job.Result) != "[2,3]" {
		t.Errorf("result = %s %s, want the variable to be found", job.Result, job.Error)
	}
}

// TestJobWakesWhenAnObjectChanges: by SQL or by another job, at once; a change that came first is not missed.
func TestJobWakesWhenAnObjectChanges(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/reader.md": simpleAgent, "agents/reader.warmup.js": `
const seen = await objects.put('cfg', 'limit', 1)
const a = await objects.changed('cfg', 'limit', {since: seen.version})
await event('go')
const b = await objects.changed('cfg', 'limit', {since: a.version})
const c = await objects.changed('cfg')
let late
try { await objects.changed('cfg', 'limit', {timeout: 10}) } catch (e) { late = e.name }
exit([a.value, a.version, b.value, b.deleted, c.changed, late])
`,
		"agents/writer.md": simpleAgent, "agents/writer.warmup.js": "exit(await objects.put('cfg', 'other', 5))",
	})
	k.work()
	job := k.submit("reader", nil)
	k.until(job.ID, "SUSPENDED")
	if got := k.single("select blocked_why from statek.job_overview where id = $1", job.ID); got != `waits for objects.changed("cfg","limit",{"since":1})` {
		t.Errorf("blocked: %s", got)
	}
	explained, err := k.Explain(t.Context(), job.ID)
	if err != nil || len(explained.Waits) != 1 || explained.Waits[0].Why != "a committed change of the object 'limit' in cfg at /acme" {
		t.Errorf("explained: %+v (%v)", explained.Waits, err)
	}
	k.exec(`select statek.put_object('/acme', 'cfg', 'limit', '2')`)
	k.is("select blocked_on = 'event' from statek.job_state where job_id = $1", job.ID)
	k.exec(`select statek.delete_object('/acme', 'cfg', 'limit')`)
	if _, _, err := k.Emit(t.Context(), "/acme", "go", "", nil); err != nil {
		t.Fatal(err)
	}
	k.is("select blocked_why = 'waits for objects.changed(\"cfg\")' from statek.job_state where job_id = $1", job.ID)
	k.ended(k.submit("writer", nil).ID)
	const want = `[2,2,null,true,[{"key":"other","version":1,"deleted":false}],"TimeoutError"]`
	if got := k.ended(job.ID); string(got.Result) != want {
		k.dump(job.ID)
		t.Errorf("result = %s %s, want %s", got.Result, got.Error, want)
	}
	// The look that a wait begins with may come after the change, and then finds it: TestMailSaysWhatWokeTheJob orders them.
	told := strings.ReplaceAll(k.text(job.ID), "(woken by the look when it began to wait)", "(woken by a change of objects cfg at /acme)")
	told = strings.ReplaceAll(told, "(woken by a change of object cfg/limit at /acme)", "(woken by a change of objects cfg at /acme)")
	if n := strings.Count(told, "(woken by a change of objects cfg at /acme)"); n != 3 || !strings.Contains(told, "(woken by the clock)") {
		t.Errorf("history tells of %d changes, want 3, and of the clock:\n%s", n, told)
	}
}

const countThrice = "await event('go')\nfor (let i = 0; i < 3; i++) await objects.update('c', 'n', (v = 0) => v + 1)\nexit((await objects.get('c', 'n')).value)"

// TestTakeoverInAnObjectCall: the dead worker's write was not committed, the ones before it were; each happens once.
func TestTakeoverInAnObjectCall(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": countThrice})
	k.work()
	job := k.submit("a", nil)
	k.until(job.ID, "SUSPENDED")
	// The second write keeps its predecessor in object_versions.
	lock, err := k.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(t.Context()) }()
	if _, err := lock.Exec(t.Context(), "lock table statek.object_versions in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Emit(t.Context(), "/", "go", "", nil); err != nil {
		t.Fatal(err)
	}
	k.is("select count(*) = 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%write_object%' and pid <> pg_backend_pid()")
	k.abandon(job.ID)
	if err := lock.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.wantThree(k.ended(job.ID))
}

// wantThree checks that three writes have happened once each, and that history says the same.
func (k *kit) wantThree(job app.Job) {
	k.t.Helper()
	if string(job.Result) != "3" {
		k.dump(job.ID)
		k.t.Errorf("result = %s %s, want 3", job.Result, job.Error)
	}
	if got := k.single("select string_agg(version || ':' || value, ' ' order by version) from statek.object_history"); got != "1:1 2:2 3:3" {
		k.t.Errorf("versions = %s, want each write once", got)
	}
	if got := k.single("select string_agg(payload -> 'value' ->> 'version', ' ' order by seq) from statek.history_entries where kind = 'call_settled' and payload ->> 'name' = 'objects.put'"); got != "1 2 3" {
		k.t.Errorf("recorded versions = %s, want 1 2 3", got)
	}
}

// TestObjectCommitWithoutAnAnswer: the connection breaks while the write is being committed, so the worker does not
// know whether it was. It finds out from history, and the write happens once either way.
func TestObjectCommitWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	k := newKitThrough(t, nil, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": countThrice})
	k.exec(`create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(77); return null; end $$`)
	k.exec(`create constraint trigger hold after update on statek.objects deferrable initially deferred for each row when (new.version = 2) execute function hold()`)
	k.work()
	job := k.submit("a", nil)
	k.until(job.ID, "SUSPENDED")
	held, err := k.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback(t.Context()) }()
	if _, err := held.Exec(t.Context(), "select pg_advisory_xact_lock(77)"); err != nil {
		t.Fatal(err)
	}
	k.exec("select statek.emit('/', 'go')")
	const committing = "from pg_stat_activity where datname = current_database() and wait_event = 'advisory' and query ilike 'commit%'"
	k.is("select count(*) = 1 " + committing)
	k.wire.Cut()
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.is("select count(*) = 0 " + committing)
	k.wire.Restore()
	k.is("select status = 'DONE' from statek.job_state where job_id = $1", job.ID)
	done, err := k.WaitJob(t.Context(), job.ID, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	k.wantThree(done)
}
