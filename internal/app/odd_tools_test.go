package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
	"statek/internal/jsvm"
)

// oddTools write a row of the ledger each, and some do something to their own job with it.
func oddTools() (schema string, defs files) {
	schema = `create schema app; create table app.ledger (n bigint generated always as identity, job uuid);
		create function app.later(_job uuid, _what text) returns void language plpgsql security definer as $$ begin
			case _what
				when 'cancel' then perform statek.cancel_job(_job, 'enough');
				when 'pause' then perform statek.pause_job(_job, 'enough');
				when 'message' then perform statek.push_message(_job, '"hello"');
			end case;
		end $$;
		create function app.stay() returns text language plpgsql as $$ begin
			perform set_config('role', 'statek_tool', false), pg_advisory_lock_shared(7);
			return 'stayed';
		end $$;
		create table app.free (n int); insert into app.free values (1); select statek.watch('app.free');
		grant usage on schema app to statek_tool; grant all on app.ledger, app.free to statek_tool`
	defs = files{
		"agents/a.md":        simpleAgent,
		"tools/add.sql":      "-- tool: add()\n-- returns: value\ninsert into app.ledger (job) values (:job_id) returning n\n",
		"tools/join.sql":     "-- tool: join()\n-- returns: value\n-- batch: yes\ninsert into app.ledger (job) values (:job_id) returning n\n",
		"tools/self.sql":     "-- tool: self(what text)\n-- returns: value\nwith s as materialized (select app.later(:job_id, :what)) insert into app.ledger (job) select :job_id from s returning n\n",
		"tools/boom.sql":     "-- tool: boom()\n-- returns: value\nwith s as materialized (insert into app.ledger (job) values (:job_id) returning n) select n / 0 from s\n",
		"tools/stay.sql":     "-- tool: stay()\n-- returns: value\nselect app.stay()\n",
		"temporals/pick.sql": "-- temporal: pick()\n-- watch: app.free\n-- condition\nselect true from app.free\n-- complement\nselect app.stay() as s\n-- release\nselect app.stay()\n",
		"tools/deep.sql":     "-- tool: deep(n integer)\n-- returns: value\nselect (repeat('[', :n) || repeat(']', :n))::json\n",
	}
	return schema, defs
}

// wantLedger holds that the rows of a job are those of the calls that its history has as done, each once.
func (k *kit) wantLedger(job uuid.UUID) {
	k.t.Helper()
	rows := k.single("select coalesce(string_agg(n::text, ' ' order by n), '') from app.ledger where job = $1", job)
	calls := k.single(`select coalesce(string_agg(payload ->> 'value', ' ' order by (payload ->> 'value')::bigint), '') from statek.history_entries
		where job_id = $1 and kind = 'call_settled' and payload ->> 'name' in ('add', 'join', 'self', 'boom') and payload ->> 'error' is null`, job)
	if diff := cmp.Diff(calls, rows); diff != "" {
		k.dump(job)
		k.t.Errorf("ledger (-history +rows):\n%s", diff)
	}
}

// TestOddUsesOfTools: jobs that end, stop or talk to themselves in the middle of their calls, many at once in a small pool.
func TestOddUsesOfTools(t *testing.T) {
	t.Parallel()
	schema, defs := oddTools()
	k := newKit(t, nil)
	k.exec(schema)
	cases := map[string]struct{ code, status, outcome string }{
		"exit before the others":  {"const all = [add(), add(), join(), add()]; all[0].then(exit); await Promise.all(all)", "DONE", "succeeded"},
		"exit before any":         {"add(); join(); exit('left')", "DONE", "succeeded"},
		"exit after one":          {"const p = [add(), add()]; await p[0]; exit('one')", "DONE", "succeeded"},
		"the first of three":      {"const n = await Promise.race([add(), join(), add()]); exit(n)", "DONE", "succeeded"},
		"one of them fails":       {"try { await Promise.all([add(), boom(), join(), boom()]) } catch (e) { exit(e.code) }", "DONE", "succeeded"},
		"in a row, one fails":     {"for (let i = 0; i < 6; i++) { try { await (i % 3 === 2 ? boom() : add()) } catch (e) { print(e.code) } } exit(1)", "DONE", "succeeded"},
		"cancels itself":          {"await add(); await self('cancel'); await add(); await add(); await sleep('1h')", "DONE", "cancelled"},
		"cancels itself last":     {"await add(); exit(await self('cancel'))", "DONE", ""},
		"pauses itself":           {"await add(); await self('pause'); await add(); await sleep('1h')", "PAUSED", ""},
		"tells itself":            {"await self('message'); await add(); exit(await message())", "DONE", "succeeded"},
		"tells itself beside one": {"const [m] = await Promise.all([message(), self('message'), add()]); exit(m)", "DONE", "succeeded"},
		"keeps its role":          {"for (let i = 0; i < 8; i++) { await stay(); await pick(); await add() } exit(1)", "DONE", "succeeded"},
		"discards with its role":  {"await first(pick(), pick()); pick(); await add(); exit(1)", "DONE", "succeeded"},
		"deep":                    {"const d = await deep(1500); exit(Array.isArray(d))", "DONE", "succeeded"},
		"too deep":                {"try { await deep(10001) } catch (e) { exit(e.name) }", "DONE", "succeeded"},
	}
	for name, c := range cases {
		role := "r_" + strings.NewReplacer(" ", "_", ",", "").Replace(name)
		defs["agents/"+role+".md"], defs["agents/"+role+".warmup.js"] = simpleAgent, c.code
	}
	k.apply(defs)
	k.work(func(cfg *app.WorkerConfig) { cfg.Conns = 6 })
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := k.on(t)
			var list []uuid.UUID
			for range 8 {
				list = append(list, k.submit("r_"+strings.NewReplacer(" ", "_", ",", "").Replace(name), nil).ID)
			}
			for _, id := range list {
				job := k.ended(id)
				if job.Status != c.status || c.outcome != "" && job.Outcome != c.outcome {
					k.dump(id)
					t.Errorf("the job is %s %s (%s), want %s %s", job.Status, job.Outcome, job.BlockedWhy, c.status, c.outcome)
				}
				k.wantLedger(id)
			}
		})
	}
}

// TestToolsThatDeadlock: two jobs take the same rows in different orders, again and again; each call is done once.
func TestToolsThatDeadlock(t *testing.T) {
	t.Parallel()
	k := newKitOn(t, jsvm.NewInProcess(), nil)
	schema, defs := oddTools()
	k.exec(schema)
	k.exec(`create table app.rows (id int primary key, n int not null default 0); insert into app.rows values (1), (2); create sequence app.tries;
		create function app.both(_a int, _b int) returns void language plpgsql as $$ begin
			perform nextval('app.tries'); update app.rows set n = n + 1 where id = _a; perform pg_sleep(0.02); update app.rows set n = n + 1 where id = _b;
		end $$;
		grant all on app.rows, app.tries to statek_tool;
		do $$ begin execute format('alter database %I set deadlock_timeout = ''30ms''', current_database()); end $$`) // of connections to come
	for i, order := range []string{"1, 2", "2, 1"} {
		defs[fmt.Sprintf("tools/both%d.sql", i)] = fmt.Sprintf("-- tool: both%d()\n-- returns: value\n-- retry: attempts=20 backoff=20ms\nselect app.both(%s)::text\n", i, order)
		defs[fmt.Sprintf("agents/b%d.md", i)] = simpleAgent
		defs[fmt.Sprintf("agents/b%d.warmup.js", i)] = fmt.Sprintf("for (let i = 0; i < 5; i++) await both%d(); exit('done')", i)
	}
	k.apply(defs)
	k.work()
	var list []uuid.UUID
	for i := range 4 {
		list = append(list, k.submit(fmt.Sprintf("b%d", i%2), nil).ID)
	}
	for _, id := range list {
		if job := k.ended(id); job.Status != "DONE" || string(job.Result) != `"done"` {
			k.dump(id)
			t.Errorf("the job is %s with %s (%s)", job.Status, job.Result, job.BlockedWhy)
		}
	}
	if n := k.single("select string_agg(n::text, ' ') from app.rows"); n != "20 20" {
		t.Errorf("rows are counted up to %s, want 20 each", n)
	}
	if tries := k.one("select last_value from app.tries"); tries <= 20 {
		t.Error("no call was made again, and this shows nothing")
	}
}

// TestAToolThatChangesWhileItsCallsBegin: a job has the tools it was claimed with, and each of its calls is done once.
func TestAToolThatChangesWhileItsCallsBegin(t *testing.T) {
	t.Parallel()
	k := newKitOn(t, jsvm.NewInProcess(), nil)
	schema, defs := oddTools()
	k.exec(schema)
	defs["agents/a.warmup.js"] = "const l = []; for (let i = 0; i < 60; i++) l.push(await add()); exit(l.length)"
	k.apply(defs)
	k.work()
	job := k.submit("a", nil)
	for i := range 8 {
		defs["tools/add.sql"] = fmt.Sprintf("-- tool: add()\n-- returns: value\n-- timeout: %ds\ninsert into app.ledger (job) select :job_id from generate_series(1, 1) g returning n\n", i+1)
		k.apply(defs)
		k.exec(fmt.Sprintf("alter table app.ledger add column c%d int", i))
	}
	if done := k.ended(job.ID); done.Status != "DONE" || string(done.Result) != "60" {
		k.dump(job.ID)
		t.Errorf("the job is %s with %s (%s)", done.Status, done.Result, done.BlockedWhy)
	}
	k.wantLedger(job.ID)
}
