package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"statek/internal/store"
)

// queueOf registers a job that waits for a task of a queue of its own, for each of n queues.
func (k *waitsKit) queueOf(text, prefix string, n int) []uuid.UUID {
	k.Helper()
	def, id := k.define(text)
	list := make([]uuid.UUID, n)
	for i := range list {
		list[i] = k.job("/")
		k.register(k.pool, list[i], k.plan(1, def.Name, def, id, fmt.Sprintf(`["%s%d"]`, prefix, i)))
	}
	k.quiesce()
	return list
}

// woken counts the jobs that have just one letter; others are reported.
func (k *waitsKit) woken(list []uuid.UUID) (n int) {
	k.Helper()
	for i, job := range list {
		switch mail := k.mail(job); len(mail) {
		case 0:
		case 1:
			n++
		default:
			k.Errorf("job %d woke more than once: %v", i, mail)
		}
	}
	return n
}

// TestManyGroupsShareTransactions wakes many groups by one statement: each job once, with its own value and evidence, in
// far fewer transactions than groups.
func TestManyGroupsShareTransactions(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	list := k.queueOf(pickTask, "q", 64)
	k.exec("insert into app.tasks (queue) select 'q' || i from generate_series(0, 63) i")
	round, err := k.waits.Drain(k.ctx)
	k.must(err)
	if n := k.woken(list); n != 64 || round.Served != 64 || round.Looks != 64 {
		t.Fatalf("%d woke, %+v; want 64", n, round)
	}
	if n := k.count("select count(distinct xmin::text) from statek.mailbox"); n > 8 {
		t.Errorf("the mail was written by %d transactions", n)
	}
	if n := k.count(`select count(*) from statek.mailbox m join statek.wait_groups g on g.args ->> 'queue' = m.payload ->> 'queue'
		where m.evidence ->> 'what' = 'app.tasks[queue=' || (m.payload ->> 'queue') || ']' and g.touches = 1 and g.last_result = 'served'`); n != 64 {
		t.Errorf("%d letters say what woke them, and their groups what touched them; want 64", n)
	}
	// The complements have written, too, but nobody waits any more.
	if round, err := k.waits.Drain(k.ctx); err != nil || round.Looks != 0 {
		t.Errorf("looked again: %+v, %v", round, err)
	}
	if n := k.count("select (select count(*) from statek.waits) + (select count(*) from statek.wait_checks) + (select count(*) from statek.dirty)"); n != 0 {
		t.Errorf("%d waits, checks and marks are left", n)
	}
	if n := k.count(`select count(distinct job) from river.river_job, jsonb_array_elements_text(args -> 'job_ids') as job where queue = 'crowd'`); n != 64 {
		t.Errorf("%d jobs were rung as crowds, want 64", n)
	}
}

// TestOddGroupsAreLookedAtAlone puts what is out of the ordinary among others of the same temporal: SQL that fails or takes
// too much for one of them, a row that somebody holds, several waiters. The others are served all the same.
func TestOddGroupsAreLookedAtAlone(t *testing.T) {
	t.Parallel()
	odd := func(old, new string) string { return strings.Replace(pickTask, old, new, 1) }
	for _, c := range []struct{ name, text, want string }{
		{"fails", odd("select 1 from", "select 1 / (case :queue when 'q7' then 0 else 1 end) from"), "failed"},
		{"greedy", strings.Replace(odd("limit 1", "limit case :queue when 'q7' then 2 else 1 end"), "id = (", "id in (", 1), "failed"},
		{"held", pickTask, "contended"},
		{"several", pickTask, "served"},
		{"nothing", odd("update app.tasks set state = 'taken'\nwhere id", "update app.tasks set state = 'taken'\nwhere :queue <> 'q7' and id"), "contended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newWaitsKit(t)
			list := k.queueOf(c.text, "q", 20)
			held := k.session()
			k.exec("insert into app.tasks (queue) select 'q' || i % 20 from generate_series(0, 39) i")
			want := 20
			switch c.name {
			case "held":
				_, err := held.Exec(k.ctx, "begin; select from app.tasks where queue = 'q7' for update")
				k.must(err)
				want = 19
			case "several":
				k.exec(`insert into statek.waits (job_id, cell, call, kind, name, group_id)
					select w.job_id, 1, 2, 'sql', w.name, w.group_id from statek.waits w join statek.wait_groups g on g.id = w.group_id where g.args ->> 'queue' = 'q7'`)
			default:
				want = 19
			}
			if _, err := k.waits.Drain(k.ctx); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, job := range list {
				if len(k.mail(job)) > 0 {
					n++
				}
			}
			var state string
			k.scan("select last_result from statek.wait_groups where args ->> 'queue' = 'q7'", &state)
			if n != want || state != c.want {
				t.Errorf("%d of 20 woke and the odd one is %s; want %d, %s", n, state, want, c.want)
			}
		})
	}
}

// TestManyLookersWakeEachOnce lets evaluators of several workers at the same marks.
func TestManyLookersWakeEachOnce(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	list := k.queueOf(pickTask, "q", 80)
	var writers errgroup.Group
	for w := range 4 {
		writers.Go(func() error {
			for i := w; i < 80; i += 4 {
				if _, err := k.pool.Exec(k.ctx, "insert into app.tasks (queue) values ($1), ($1)", fmt.Sprintf("q%d", i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	ctx, done := context.WithCancel(k.ctx)
	var lookers sync.WaitGroup
	for range 3 {
		waits := store.NewWaits(k.pool, k.now)
		lookers.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := waits.Tick(k.ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	k.must(writers.Wait())
	done()
	lookers.Wait()
	k.quiesce()
	if n := k.woken(list); n != 80 {
		t.Errorf("%d woke, want 80", n)
	}
	if n := k.count("select count(*) from app.tasks where state = 'taken'"); n != 80 {
		t.Errorf("%d tasks were taken, want 80", n)
	}
}

// TestLookThatDiesLeavesItsMarks: a drain whose look ends before its commit has taken no mark out.
func TestLookThatDiesLeavesItsMarks(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(strings.Replace(pickTask, " skip locked", "", 1))
	job := k.job("/")
	k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["main"]`))
	k.quiesce()
	k.exec("insert into app.tasks (queue) values ('main')")
	holder := k.session()
	_, err := holder.Exec(k.ctx, "begin; select from app.tasks for update")
	k.must(err)
	ctx, kill := context.WithCancel(k.ctx)
	died := make(chan error, 1)
	go func() {
		_, err := k.waits.Drain(ctx)
		died <- err
	}()
	k.blocked()
	kill()
	if err := <-died; err == nil {
		t.Error("a drain that was killed has no error")
	}
	_, err = holder.Exec(k.ctx, "rollback")
	k.must(err)
	k.quiesce()
	if got := k.mail(job); len(got) != 1 {
		t.Errorf("mail %v, want one letter", got)
	}
}

// TestOneBadGroupDoesNotStopTheMarksOfOthers: a look whose COMMIT fails, for a deferred constraint of the application, gives its marks back, and
// everybody's marks stand behind them.
func TestOneBadGroupDoesNotStopTheMarksOfOthers(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec(`create function app.refuse() returns trigger language plpgsql as $$
		begin if new.queue = 'bad' and new.state = 'taken' then raise exception 'refused at the end'; end if; return null; end $$;
		create constraint trigger refuse after update on app.tasks deferrable initially deferred for each row execute function app.refuse()`)
	def, id := k.define(pickTask)
	bad, good := k.job("/"), k.job("/")
	k.register(k.pool, bad, k.plan(1, def.Name, def, id, `["bad"]`))
	k.register(k.pool, good, k.plan(1, def.Name, def, id, `["good"]`))
	k.quiesce()
	for range 300 { // more than one drain takes
		k.exec("insert into app.tasks (queue) values ('bad')")
	}
	k.exec("insert into app.tasks (queue) values ('good')")
	for range 4 {
		_, _, _ = k.waits.Tick(k.ctx) // it says what was refused
	}
	if n := len(k.mail(good)); n != 1 {
		t.Errorf("the other job has %d rows of mail, want 1", n)
	}
	if n := k.count("select count(*) from statek.dirty"); n != 0 {
		t.Errorf("%d marks are left", n)
	}
}
