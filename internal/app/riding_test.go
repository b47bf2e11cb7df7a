package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/app"
	"statek/internal/jsvm"
)

// riding has a tool, add, that counts. When a transaction commits, app.rides is counted up if a job has ended in it, and then it is
// refused with the code of app.verdicts, if there is one.
func riding(t *testing.T, defs files) *kit {
	t.Helper()
	k := newKitOn(t, jsvm.NewInProcess(), nil)
	k.exec(`create schema app; create table app.ledger (n bigint, job uuid); create sequence app.n; create sequence app.rides; create table app.verdicts (code text);
		create function app.judge() returns trigger language plpgsql security definer as $$ declare v text := (select code from app.verdicts); begin
			if exists (select from statek.job_state s where s.job_id = new.job and s.status = 'DONE') then perform nextval('app.rides'); end if;
			perform pg_sleep(0.005);
			if v is not null then raise exception 'judged' using errcode = v; end if;
			return null;
		end $$;
		create constraint trigger judge after insert on app.ledger deferrable initially deferred for each row execute function app.judge();
		create function app.knock(_job uuid) returns void language sql security definer as $$
			insert into statek.mailbox (job_id, kind, payload) values (_job, 'message', '"again"');
			update statek.job_state set rung = true where job_id = _job;
		$$;
		grant usage on schema app to statek_tool; grant all on app.ledger, app.n to statek_tool`)
	tool := "-- returns: value\ninsert into app.ledger values (nextval('app.n'), :job_id) returning n\n"
	defs["agents/a.md"] = simpleAgent
	defs["tools/add.sql"] = "-- tool: add()\n" + tool
	defs["tools/addInCompany.sql"] = "-- tool: addInCompany()\n-- batch: yes\n" + tool
	defs["tools/knock.sql"] = "-- tool: knock()\n-- returns: value\nwith k as materialized (select app.knock(:job_id)) insert into app.ledger select nextval('app.n'), :job_id from k returning n\n"
	k.apply(defs)
	k.work()
	return k
}

// untilOneRides ends jobs until the end of one has gone with its last call: on a busy machine code answers too late now and then.
func (k *kit) untilOneRides(judge func(job app.Job)) {
	k.t.Helper()
	for range 200 {
		judge(k.ended(k.submit("a", nil).ID))
		if k.single("select is_called::text from app.rides") == "true" {
			return
		}
	}
	k.t.Error("none of 200 jobs has ended with its last call, and this shows nothing")
}

// TestALastCallThatIsRefusedAtCommit: a deferred constraint refuses what a call has done when the end of its job rides with it. The code
// sees what it would have seen without: the end that it has made of the result never was.
func TestALastCallThatIsRefusedAtCommit(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"add", "addInCompany"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			k := riding(t, files{"agents/a.warmup.js": "let n = 'none'; try { n = await " + tool + "(); print('got', n) } catch (e) { n = e.name + ' ' + e.code; print('caught', n) } exit(n)"})
			k.exec("insert into app.verdicts values ('23514')")
			k.untilOneRides(func(job app.Job) {
				if job.Status != "DONE" || string(job.Result) != `"SQLError 23514"` {
					k.dump(job.ID)
					t.Fatalf("the job is %s with result %s", job.Status, job.Result)
				}
				if diff := cmp.Diff("caught SQLError 23514", strings.Join(k.consoleLines(job.ID), "|")); diff != "" {
					t.Errorf("printed (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(endedKinds, k.kinds(job.ID)); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
			})
			if rows := k.single("select count(*)::text from app.ledger"); rows != "0" {
				t.Errorf("%s refused effects are there", rows)
			}
		})
	}
}

// endedKinds is the history of a job that makes one call, prints and exits.
var endedKinds = []string{"submitted", "cell_started", "call_issued", "call_settled", "console", "cell_ended", "finished"}

// TestWhoWaitsForAJobIsToldWithItsLastCall: the commit of the call brings the end to who waits, and not the next look a second later.
func TestWhoWaitsForAJobIsToldWithItsLastCall(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"add", "addInCompany"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			k := riding(t, files{
				"agents/a.warmup.js": "const n = await " + tool + "(); var kept = n; print('got', n); exit(n)",
			})
			quickest := time.Minute
			defer func() {
				if quickest >= time.Second {
					t.Errorf("the quickest job took %s for its caller", quickest)
				}
			}()
			began := time.Now()
			k.untilOneRides(func(done app.Job) {
				quickest = min(quickest, time.Since(began))
				defer func() { began = time.Now() }()
				job, err := k.GetJob(t.Context(), done.ID)
				k.must(err)
				if diff := cmp.Diff(job, done); diff != "" {
					t.Errorf("what the caller was told (-as it is +told):\n%s", diff)
				}
				if diff := cmp.Diff(endedKinds, k.kinds(job.ID)); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
				if job.Status != "DONE" || string(job.Result) != k.single("select n::text from app.ledger where job = $1", job.ID) {
					t.Errorf("the job is %s with result %s", job.Status, job.Result)
				}
				if kept := k.single("select value::text from statek.variables where job_id = $1 and name = 'kept' and cell_to is null", job.ID); kept != string(job.Result) {
					t.Errorf("kept is %s, want %s", kept, job.Result)
				}
			})
		})
	}
}

// TestAJobThatIsRungWhileItsEndRides: the run goes on with the message, and with the variables of the cell that has ended it.
func TestAJobThatIsRungWhileItsEndRides(t *testing.T) {
	t.Parallel()
	k := riding(t, files{
		"agents/a.warmup.js": "var kept = await knock(); print('got it'); exit(kept)",
	})
	k.replies["a.md"] = reply("```js\nvar before = kept; kept = [before]; exit({before, kept})\n```\n")
	k.untilOneRides(func(job app.Job) {
		k.is("select exists (select from statek.job_state where job_id = $1 and owner is null and status in ('DONE', 'PAUSED') and (core ->> 'completions')::int = 1)", job.ID)
		n := k.single("select n::text from app.ledger where job = $1", job.ID)
		job, err := k.GetJob(t.Context(), job.ID)
		k.must(err)
		if want := `{"before":` + n + `,"kept":[` + n + `]}`; job.Status != "DONE" || string(job.Result) != want {
			k.dump(job.ID)
			t.Errorf("the job is %s with result %s, want %s", job.Status, job.Result, want)
		}
	})
	if left := k.single("select count(*)::text from statek.mailbox"); left != "0" {
		t.Errorf("%s messages are left", left)
	}
}
