package app_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jsvm"
)

// eavesdropper is a machine that notes which results code is given while it runs, and not in a replay.
type eavesdropper struct {
	jsvm.Machine
	mu   sync.Mutex
	news []string
}

type eavesdropped struct {
	jsvm.Session
	by *eavesdropper
}

// Open implements jsvm.Machine.
func (e *eavesdropper) Open(ctx context.Context, setup jsvm.Setup) (jsvm.Session, error) {
	s, err := e.Machine.Open(ctx, setup)
	return eavesdropped{s, e}, err
}

// Deliver implements jsvm.Session.
func (s eavesdropped) Deliver(ctx context.Context, list ...jsvm.Delivery) (jsvm.Step, error) {
	s.by.mu.Lock()
	for _, d := range list {
		if !d.Replay {
			s.by.news = append(s.by.news, string(d.Value))
		}
	}
	s.by.mu.Unlock()
	return s.Session.Deliver(ctx, list...)
}

// TestResultsThatAreNotCommitted: while a call's commit is under way the code computes on with its result. When the commit fails, nothing
// of that is recorded or done; the code runs with the result of the attempt that succeeds.
func TestResultsThatAreNotCommitted(t *testing.T) {
	t.Parallel()
	const alone = "const a = await add(); print('saw', a); const b = await add(); print('saw', b); exit([a, b])"
	for name, c := range map[string]struct{ header, code, want, result string }{
		"own transactions":      {"", alone, "saw 2|saw 4", "[2,4]"},
		"shared transactions":   {"-- batch: yes\n", alone, "", ""}, // how often each is tried depends on its company
		"beside something else": {"", "const other = event('never', {timeout: 60000}); const [a] = await Promise.race([Promise.all([add()]), other]); print('saw', a); exit([a])", "saw 2", "[2]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ear := &eavesdropper{Machine: jsvm.NewInProcess()}
			k := newKitOn(t, ear, nil)
			k.exec(`create schema app; create table app.ledger (n bigint); create sequence app.n; create sequence app.tries;
				create function app.judge() returns trigger language plpgsql security definer as $$ begin
					perform pg_sleep(0.1);
					if nextval('app.tries') % 2 = 1 then raise exception 'lost' using errcode = '40001'; end if;
					return null;
				end $$;
				create constraint trigger judge after insert on app.ledger deferrable initially deferred for each row execute function app.judge();
				grant usage on schema app to statek_tool; grant all on app.ledger, app.n to statek_tool`)
			k.apply(files{
				"agents/a.md": simpleAgent, "agents/a.warmup.js": c.code,
				"tools/add.sql": "-- tool: add()\n-- returns: value\n" + c.header + "insert into app.ledger values (nextval('app.n')) returning n\n",
			})
			k.work()
			job := k.ended(k.submit("a", nil).ID)
			rows := k.single("select string_agg(n::text, ',' order by n) from app.ledger")
			ear.mu.Lock()
			defer ear.mu.Unlock()
			if c.want == "" {
				if string(job.Result) != "["+rows+"]" {
					k.dump(job.ID)
					t.Errorf("result %s, and the ledger has %s", job.Result, rows)
				}
				return
			}
			if string(job.Result) != c.result || c.result != "["+rows+"]" {
				k.dump(job.ID)
				t.Errorf("result %s, want %s, and the ledger has %s", job.Result, c.result, rows)
			}
			if diff := cmp.Diff(c.want, strings.Join(k.consoleLines(job.ID), "|")); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
			if !slices.Contains(ear.news, "1") {
				t.Errorf("the code was given %v: it never computed while a commit was under way, and this shows nothing", ear.news)
			}
		})
	}
}

// judged has a tool, add, that counts, and whose second commit fails after a while; later attempts wait for the advisory lock 1.
func judged(t *testing.T, code string) (k *kit, ear *eavesdropper) {
	t.Helper()
	ear = &eavesdropper{Machine: jsvm.NewInProcess()}
	k = newKitOn(t, ear, nil)
	k.exec(`create schema app; create table app.ledger (n bigint); create sequence app.n; create table app.tasks (id int, taken uuid);
		create function app.before() returns trigger language plpgsql security definer as $$ begin
			if new.n >= 3 then perform pg_advisory_xact_lock_shared(1); end if;
			return new;
		end $$;
		create trigger before before insert on app.ledger for each row execute function app.before();
		create function app.judge() returns trigger language plpgsql security definer as $$ begin
			if new.n = 2 then perform pg_sleep(0.3); raise exception 'lost' using errcode = '40001'; end if;
			return null;
		end $$;
		create constraint trigger judge after insert on app.ledger deferrable initially deferred for each row execute function app.judge();
		grant usage on schema app to statek_tool; grant all on app.ledger, app.n, app.tasks to statek_tool;
		select statek.watch('app.tasks')`)
	k.apply(files{
		"agents/a.md": simpleAgent, "agents/a.warmup.js": code,
		"tools/add.sql":  "-- tool: add()\n-- returns: value\ninsert into app.ledger values (nextval('app.n')) returning n\n",
		"tools/slow.sql": "-- tool: slow()\n-- returns: value\nselect pg_sleep(30)::text\n",
		"temporals/pick.sql": "-- temporal: pick()\n-- watch: app.tasks\n-- condition\nselect true from app.tasks where taken is null\n" +
			"-- complement\nupdate app.tasks set taken = :job_id where taken is null returning id\n" +
			"-- release\nupdate app.tasks set taken = null where taken = :job_id\n",
	})
	return k, ear
}

// TestAValueBesideACommitThatFails: code was given a result that was not committed; a value that comes meanwhile has been seen by
// nobody, and is given back when the job is cancelled.
func TestAValueBesideACommitThatFails(t *testing.T) {
	t.Parallel()
	k, ear := judged(t, "const p = pick(); await add(); const x = await Promise.race([p, add()]); await sleep(100000); exit(x)")
	let := k.lock()
	defer let()
	k.work()
	job := k.submit("a", nil).ID
	k.is("select exists (select from pg_stat_activity where " + committing + ")") // the second attempt
	ear.mu.Lock()
	if !slices.Contains(ear.news, "2") {
		t.Errorf("the code was given %v: it never computed while a commit was under way, and this shows nothing", ear.news)
	}
	ear.mu.Unlock()
	k.exec("insert into app.tasks values (7)")
	k.is("select exists (select from statek.mailbox where job_id = $1 and kind = 'resolved')", job)
	k.must(k.Cancel(t.Context(), job, "enough"))
	if got := k.ended(job); got.Outcome != "cancelled" {
		k.dump(job)
		t.Errorf("outcome %s", got.Outcome)
	}
	k.is("select exists (select from app.tasks where taken is null)")
}

// TestACommitThatFailsBesideOtherCalls: what the code goes on with after the next attempt does not wait for them.
func TestACommitThatFailsBesideOtherCalls(t *testing.T) {
	t.Parallel()
	k, _ := judged(t, "slow().catch(() => 0); await add(); await add(); await add(); exit(1)")
	k.work()
	job := k.submit("a", nil).ID
	k.is("select count(*) = 3 from app.ledger")
	if n := k.one("select count(*) from statek.history_entries where job_id = $1 and kind = 'call_settled' and payload ->> 'name' = 'slow'", job); n != 0 {
		k.dump(job)
		t.Error("the code went on only when the slow call had ended")
	}
	k.must(k.Cancel(t.Context(), job, "enough"))
}
