package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/store"
)

func TestInsertWakesExactlyOneInOrder(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	jobs := make([]uuid.UUID, 3)
	for i := range jobs {
		jobs[i] = k.job("/")
		k.register(k.pool, jobs[i], k.plan(1, "pickTask", def, id, `["main"]`))
	}
	k.quiesce()
	rang := 0
	k.waits.Rang = func() { rang++ }
	for i := range jobs {
		k.exec("insert into app.tasks (queue, amount) values ('other', 1), ('main', 12345678901234567.10)")
		_, err := k.waits.Drain(k.ctx)
		k.must(err)
		for j, job := range jobs {
			if got, want := len(k.mail(job)), 0; j <= i {
				if got != 1 {
					t.Fatalf("after insert %d job %d has %d values, want 1", i, j, got)
				}
			} else if got != want {
				t.Fatalf("after insert %d job %d has %d values, want 0", i, j, got)
			}
		}
	}
	want := []string{`resolved 1/1 {"id":2,"queue":"main","amount":12345678901234567.10}`}
	if diff := cmp.Diff(want, k.mail(jobs[0])); diff != "" {
		t.Error(diff)
	}
	if rung := k.count("select count(*) from river.river_job where kind = 'doorbell'"); rung != 3 || rang != 3 {
		t.Errorf("%d doorbells, %d signals; want 3 and 3", rung, rang)
	}
	if n := k.count("select count(*) from statek.waits"); n != 0 {
		t.Errorf("%d waits are left, want 0", n)
	}
}

func TestTryNowServesAndSettlesAtOnce(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	k.exec("insert into app.tasks (queue) values ('main')")
	jobs := []uuid.UUID{k.job("/"), k.job("/")}
	spec := k.plan(1, "pickTask", def, id, `["main"]`)
	for _, job := range jobs {
		k.register(k.pool, job, spec)
	}
	round, err := k.waits.TryNow(k.ctx, spec.Group.Hash())
	k.must(err)
	if round.Served != 1 || len(k.mail(jobs[0])) != 1 {
		t.Errorf("served %d, first job has %v; want 1 and a value", round.Served, k.mail(jobs[0]))
	}
	if round, err = k.waits.TryNow(k.ctx); err != nil || round.Looks != 0 {
		t.Errorf("TryNow of nothing = %+v, %v", round, err)
	}
}

// TestContendedIsNotForgotten holds the only row, so that the complement comes back empty, then lets it go
// by rolling back: no trigger fires, nobody is told.
func TestContendedIsNotForgotten(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	k.exec("insert into app.tasks (queue) values ('main')")
	holder := k.session()
	_, err := holder.Exec(k.ctx, "begin; update app.tasks set state = 'held'")
	k.must(err)
	job := k.job("/")
	spec := k.plan(1, "pickTask", def, id, `["main"]`)
	k.register(k.pool, job, spec)
	round, err := k.waits.TryNow(k.ctx, spec.Group.Hash())
	k.must(err)
	if round.RetryIn != 10*time.Millisecond {
		t.Errorf("a contended group is retried in %v, want 10ms", round.RetryIn)
	}
	k.offset.Add(int64(time.Minute))
	round, err = k.waits.Retry(k.ctx, 10)
	k.must(err)
	if round.RetryIn != 20*time.Millisecond {
		t.Errorf("then in %v, want 20ms", round.RetryIn)
	}
	_, err = holder.Exec(k.ctx, "rollback")
	k.must(err)
	due, ok, err := k.waits.NextDue(k.ctx)
	k.must(err)
	if !ok {
		t.Fatal("nothing is due, want the retry")
	}
	k.offset.Add(int64(time.Until(due)) + int64(time.Minute))
	k.quiesce()
	if len(k.mail(job)) != 1 {
		t.Errorf("job has %v, want its row", k.mail(job))
	}
}

// TestEvaluatorsClaimEachRowOnce lets workers drain, settle and retry at once while writers insert and roll back.
func TestEvaluatorsClaimEachRowOnce(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	const n = 60
	jobs := make([]uuid.UUID, n)
	for i := range jobs {
		jobs[i] = k.job("/")
	}
	var all sync.WaitGroup
	for worker := range 3 {
		all.Go(func() {
			for i := range n {
				switch worker {
				case 0:
					spec := k.plan(1, "pickTask", def, id, fmt.Sprintf(`["q%d"]`, i%3))
					k.register(k.pool, jobs[i], spec)
					if _, err := k.waits.TryNow(k.ctx, spec.Group.Hash()); err != nil {
						t.Error(err)
					}
				case 1:
					k.exec("insert into app.tasks (queue) values ($1)", fmt.Sprintf("q%d", i%3))
				default:
					k.offset.Add(int64(time.Second))
				}
				if _, _, err := k.waits.Tick(k.ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	k.quiesce()
	if got := k.count("select count(distinct payload->>'id') from statek.mailbox where kind = 'resolved'"); got != n {
		t.Errorf("%d different rows were given out, want %d", got, n)
	}
	if got := k.count("select count(*) from statek.mailbox"); got != n {
		t.Errorf("%d values were given out, want %d", got, n)
	}
	if got := k.count("select count(*) from app.tasks where state = 'ready'"); got != 0 {
		t.Errorf("%d rows are left, want 0", got)
	}
}

// TestBrokenTemporalParksOnlyItself has a failing, a slow, a greedy, a prying and a good temporal wait for the
// same insert.
func TestBrokenTemporalParksOnlyItself(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.waits.Timeout = 300 * time.Millisecond
	variant := func(name, old, new string) string {
		return strings.Replace(strings.Replace(pickTask, "pickTask(", name+"(", 1), old, new, 1)
	}
	texts := map[string]string{
		"failing": variant("failing", "select 1 from app.tasks", "select 1 / 0 from app.tasks"),
		"slow":    variant("slow", "select 1 from app.tasks", "select 1 from app.tasks, pg_sleep(60)"),
		"prying":  variant("prying", "returning id, queue, amount", "returning (select count(*) from statek.jobs)"),
		"greedy":  strings.Replace(variant("greedy", "limit 1", ""), "id = (", "id in (", 1),
		"mute":    variant("mute", "returning id, queue, amount", ""),
		"good":    variant("good", "", ""),
	}
	texts["slow"] = strings.Replace(texts["slow"], "-- watch", "-- recheck: 1h\n-- watch", 1)
	jobs := map[string]uuid.UUID{}
	for name, text := range texts {
		def, id := k.define(text)
		jobs[name] = k.job("/")
		k.register(k.pool, jobs[name], k.plan(1, name, def, id, `["`+name+`"]`))
		k.exec("insert into app.tasks (queue) values ($1), ($1)", name)
	}
	_, _, err := k.waits.Tick(k.ctx)
	k.must(err)
	for name, want := range map[string]string{
		"failing": "22012: division by zero", "slow": "57014: canceling statement due to statement timeout",
		"prying": "42501: permission denied for schema statek", "greedy": "the complement took 2 rows", "mute": "the complement returns no columns", "good": "",
	} {
		var got, result string
		k.scan("select coalesce(last_error, '') from statek.wait_groups where name = $1", &got, name)
		k.scan("select last_result from statek.wait_groups where name = $1", &result, name)
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: error %q, want %q", name, got, want)
		}
		if served := len(k.mail(jobs[name])); served != 0 && name != "good" {
			t.Errorf("%s: was served", name)
		}
		if name != "good" && result != "failed" {
			t.Errorf("%s: result %q, want failed", name, result)
		}
	}
	if len(k.mail(jobs["good"])) != 1 {
		t.Error("the good temporal was not served")
	}
	if n := k.count("select count(*) from app.tasks where state = 'taken'"); n != 1 {
		t.Errorf("%d rows are taken, want 1: a failed complement leaves nothing behind", n)
	}
}

// TestParkedGroupIsNotRunByMarks counts, in a sequence, how often the condition runs.
func TestParkedGroupIsNotRunByMarks(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec("create sequence app.runs; grant usage on sequence app.runs to statek_tool")
	def, id := k.define(strings.Replace(strings.Replace(pickTask, "-- watch", "-- recheck: 1h\n-- watch", 1),
		"select 1 from app.tasks", "select 1 / (nextval('app.runs') * 0) from app.tasks", 1))
	job := k.job("/")
	k.exec("insert into app.tasks (queue) values ('main')")
	spec := k.plan(1, "pickTask", def, id, `["main"]`)
	k.register(k.pool, job, spec)
	runs := func() int { return k.count("select last_value from app.runs") }
	_, err := k.waits.TryNow(k.ctx, spec.Group.Hash())
	k.must(err)
	first := runs()
	k.exec("update app.tasks set note = 'touched'")
	k.quiesceStill()
	if got := runs(); got != first {
		t.Errorf("the condition ran %d times more while it was parked", got-first)
	}
	k.offset.Add(int64(time.Hour))
	_, err = k.waits.Retry(k.ctx, 10)
	k.must(err)
	if got := runs(); got == first {
		t.Error("the condition did not run when its time had come")
	}
}

func TestWholeTableWatch(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec("select statek.watch('app.tasks')")
	text := strings.ReplaceAll(pickTask, "queue = :queue and ", "")
	def, id := k.define(strings.Replace(strings.Replace(text, "(queue text)", "()", 1), " key queue", "", 1))
	for i, write := range []string{
		"insert into app.tasks (queue) values (null)",
		"begin isolation level repeatable read; insert into app.tasks (queue) values ('x'); commit",
		"update app.tasks set state = 'ready' where id = 1",
	} {
		job := k.job("/")
		k.register(k.pool, job, k.plan(1, "pickTask", def, id, "[]"))
		k.quiesce()
		if got := k.mail(job); len(got) != 0 {
			t.Fatalf("write %d: got %q before", i, got)
		}
		k.exec(write)
		k.quiesce()
		if got := k.mail(job); len(got) != 1 {
			t.Errorf("%s: got %q, want one row", write, got)
		}
	}
}

// TestKeysAgree checks that arguments and columns come to the same dep: marks alone must lead to the job.
func TestKeysAgree(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec(`create type app.mood as enum ('a b'); create table app.keyed (t text, i bigint, u uuid, b bool, e app.mood, c char(5));
		grant all on app.keyed to statek_tool; grant usage on type app.mood to statek_tool`)
	long := strings.Repeat("ü:#'", 100)
	for _, c := range []struct{ column, typ, arg, value string }{
		{"t", "text", `"` + long + `"`, long},
		{"t", "text", `""`, ""},
		{"t", "varchar(9)", `"*"`, "*"},
		{"i", "int8", "7.0", "7"},
		{"u", "uuid", `"0190A0F0-0000-7000-8000-00000000000A"`, "0190a0f0-0000-7000-8000-00000000000a"},
		{"b", "boolean", "true", "t"},
		{"e", "app.mood", `"a b"`, "a b"},
		{"c", "text", `"ab"`, "ab"},
	} {
		k.exec("select statek.watch('app.keyed', $1)", c.column)
		def, id := k.define(fmt.Sprintf("-- temporal: keyed%d(k %s)\n-- watch: app.keyed key %s = :k\n-- condition\nselect 1 from app.keyed where %s = :k\n"+
			"-- complement\nselect 1 as one\n", k.count("select count(*) from statek.temporals"), c.typ, c.column, c.column))
		job := k.job("/")
		k.register(k.pool, job, k.plan(1, def.Name, def, id, "["+c.arg+"]"))
		k.quiesce()
		k.exec(fmt.Sprintf("insert into app.keyed (%s) select unnest(array[null, $1::text])::%s", c.column,
			map[string]string{"i": "bigint", "u": "uuid", "b": "bool", "e": "app.mood"}[c.column]+map[bool]string{true: "text"}[c.column == "t" || c.column == "c"]), c.value)
		_, err := k.waits.Drain(k.ctx)
		k.must(err)
		if len(k.mail(job)) != 1 {
			t.Errorf("%s %s: the mark did not lead to the job", c.column, c.arg)
		}
	}
}

func TestValuesAreAsPostgresWritesThem(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec("create type app.mood as enum ('ok'); grant usage on type app.mood to statek_tool")
	def, id := k.define(`-- temporal: v(a text, b int[], c jsonb)
-- recheck: 1h
-- condition
select true
-- complement
select 0.10::numeric as n, 1e300::float8 as f, 9007199254740993 as big, null::int as nothing, :b as list, :c as doc,
  'ok'::app.mood as mood, true as yes, '2026-01-02 03:04:05+00'::timestamptz as at, :a as "Strange name", :prefix as prefix
`)
	job := k.job("/")
	spec := k.plan(1, "v", def, id, `["it's \"q\"", [1, null], {"b": 1.0, "a": "x"}]`)
	k.register(k.pool, job, spec)
	_, err := k.waits.TryNow(k.ctx, spec.Group.Hash())
	k.must(err)
	var payload json.RawMessage
	k.scan("select payload::text from statek.mailbox where job_id = $1", &payload, job)
	want := `{"n":0.10,"f":1e+300,"big":9007199254740993,"nothing":null,"list":[1,null],"doc":{"a": "x", "b": 1.0},` +
		`"mood":"ok","yes":true,"at":"2026-01-02T03:04:05+00:00","Strange name":"it's \"q\"","prefix":"/acme/dev"}`
	if diff := cmp.Diff(want, string(payload)); diff != "" {
		t.Error(diff)
	}
}

// TestSweepFindsWhatNothingTold loses a mark on purpose, and checks that honest work is never counted.
func TestSweepFindsWhatNothingTold(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	jobs := []uuid.UUID{k.job("/"), k.job("/")}
	for _, job := range jobs {
		k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["main"]`))
	}
	k.quiesce()
	k.offset.Add(int64(time.Hour))
	k.exec("insert into app.tasks (queue) values ('main')")
	round, err := k.waits.Sweep(k.ctx, time.Minute, 10)
	k.must(err)
	if want := (store.Round{Looks: 1, Served: 1}); round != want {
		t.Errorf("a sweep that is faster than the drain: %+v, want %+v", round, want)
	}
	k.quiesce()
	k.offset.Add(int64(time.Hour))
	k.exec("insert into app.tasks (queue) values ('main'); delete from statek.dirty")
	round, err = k.waits.Sweep(k.ctx, time.Minute, 10)
	k.must(err)
	if want := (store.Round{Looks: 1, Served: 1, Caught: 1}); round != want {
		t.Errorf("a lost mark: %+v, want %+v", round, want)
	}
}

// TestRestoredStampIsMadeAnew plants a settle_xid that this cluster will not reach.
func TestRestoredStampIsMadeAnew(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	job := k.job("/")
	k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["main"]`))
	k.exec("update statek.wait_checks set settle_xid = '5000000000000'")
	k.exec("insert into app.tasks (queue) values ('main'); delete from statek.dirty")
	if n, err := k.waits.Stamp(k.ctx); err != nil || n != 1 {
		t.Fatalf("Stamp = %d, %v; want 1", n, err)
	}
	k.quiesce()
	if len(k.mail(job)) != 1 {
		t.Error("the job did not wake")
	}
}
