package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/store"
	"statek/internal/temporal"
)

func TestTimers(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	job := k.job("/")
	k.register(
		k.pool, job,
		k.plan(1, "sleep", nil, "", `["1h"]`),
		k.plan(2, "pickTask", def, id, `["main", {"timeout": "2h"}]`),
		k.plan(3, "message", nil, "", `[{"timeout": "30m"}]`),
		k.plan(4, "message", nil, "", `[]`),
	)
	k.quiesce()
	due, ok, err := k.waits.NextDue(k.ctx)
	k.must(err)
	if in := time.Until(due); !ok || in > 31*time.Minute || in < 29*time.Minute {
		t.Errorf("next timer in %v, %v; want about 30m", in, ok)
	}
	for _, want := range []int{1, 2, 3, 3} {
		k.offset.Add(int64(45 * time.Minute))
		_, err := k.waits.FireTimers(k.ctx, 10)
		k.must(err)
		if got := len(k.mail(job)); got != want {
			t.Errorf("%d timers have fired, want %d", got, want)
		}
	}
	want := []string{"timeout 1/3 null", "resolved 1/1 null", "timeout 1/2 null"}
	if diff := cmp.Diff(want, k.mail(job)); diff != "" {
		t.Error(diff)
	}
}

// TestResolveOrTimeoutNeverBoth lets an evaluator and the timers go for the same waits at once.
func TestResolveOrTimeoutNeverBoth(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	jobs := make([]uuid.UUID, 60)
	for i := range jobs {
		jobs[i] = k.job("/")
		k.register(k.pool, jobs[i], k.plan(1, "pickTask", def, id, `["main", {"timeout": 1}]`))
	}
	k.exec("insert into app.tasks (queue) select 'main' from generate_series(1, $1)", len(jobs)/2)
	k.offset.Add(int64(time.Second))
	var all sync.WaitGroup
	all.Go(func() {
		for range len(jobs) {
			if _, err := k.waits.FireTimers(k.ctx, 1); err != nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		if _, err := k.waits.Drain(k.ctx); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
	k.quiesce()
	for i, job := range jobs {
		if got := k.mail(job); len(got) != 1 {
			t.Errorf("job %d has %q, want one row", i, got)
		}
	}
	taken, resolved := k.count("select count(*) from app.tasks where state = 'taken'"), k.count("select count(*) from statek.mailbox where kind = 'resolved'")
	if taken != resolved {
		t.Errorf("%d rows are taken, %d were given out", taken, resolved)
	}
}

// TestWithdrawHoldsOffTheEvaluator steps a withdrawal that is rolled back (a fenced commit): meanwhile the
// evaluator must neither block nor forget the waiter.
func TestWithdrawHoldsOffTheEvaluator(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"rollback", "commit"} {
		for _, kind := range []string{"pickTask", "event"} {
			t.Run(kind+" "+end, func(t *testing.T) {
				t.Parallel()
				k := newWaitsKit(t)
				job := k.job("/")
				if kind == "event" {
					k.register(k.pool, job, k.plan(1, "event", nil, "", `["paid"]`))
				} else {
					def, id := k.define(pickTask)
					k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["main"]`))
				}
				k.quiesce()
				owner := k.session()
				_, err := owner.Exec(k.ctx, "begin")
				k.must(err)
				b := &pgx.Batch{}
				k.waits.QueueWithdraw(b, job, temporal.Withdrawal{Cell: 1})
				k.must(owner.SendBatch(k.ctx, b).Close())
				k.exec("insert into app.tasks (queue) values ('main'); select statek.emit('/', 'paid')")
				round, err := k.waits.Drain(k.ctx)
				k.must(err)
				if round.Served != 0 || round.RetryIn == 0 {
					t.Errorf("while the wait was being withdrawn: %+v, want nothing served and a retry", round)
				}
				_, err = owner.Exec(k.ctx, end)
				k.must(err)
				k.quiesce()
				want := 1
				if end == "commit" {
					want = 0
				}
				if got := k.mail(job); len(got) != want {
					t.Errorf("the job has %q, want %d rows", got, want)
				}
				if n := k.count("select count(*) from app.tasks where state = 'taken'"); kind == "pickTask" && n != want {
					t.Errorf("%d rows are taken, want %d", n, want)
				}
			})
		}
	}
}

// TestWithdrawAfterResolveKeepsTheValue: what was claimed is in the mailbox, however the race ends.
func TestWithdrawAfterResolveKeepsTheValue(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	var all sync.WaitGroup
	for i := range 20 {
		job, key := k.job("/"), fmt.Sprintf("w%d", i)
		k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["`+key+`"]`))
		k.exec("insert into app.tasks (queue) values ($1)", key)
		all.Go(func() {
			b := &pgx.Batch{}
			k.waits.QueueWithdraw(b, job, temporal.Withdrawal{Cell: 1})
			k.must(k.pool.SendBatch(k.ctx, b).Close())
		})
		all.Go(func() {
			if _, _, err := k.waits.Tick(k.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	k.quiesce()
	taken, given := k.count("select count(*) from app.tasks where state = 'taken'"), k.count("select count(*) from statek.mailbox")
	if taken != given {
		t.Errorf("%d rows are taken, %d are in mailboxes", taken, given)
	}
	if n := k.count("select count(*) from statek.waits"); n != 0 {
		t.Errorf("%d waits are open, want 0", n)
	}
}

// TestCollectingSparesARegistration steps a registration into a group that is being collected, both ways round.
func TestCollectingSparesARegistration(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	first := k.job("/")
	spec := k.plan(1, "pickTask", def, id, `["main"]`)
	k.register(k.pool, first, spec)
	k.exec("delete from statek.waits")
	k.quiesce()
	k.offset.Add(int64(time.Hour))

	// The registration is not committed yet: the group is spared.
	owner := k.session()
	_, err := owner.Exec(k.ctx, "begin")
	k.must(err)
	second := k.job("/")
	k.register(owner, second, spec)
	if n, err := k.waits.Collect(k.ctx); err != nil || n != 0 {
		t.Errorf("collected %d, %v; want 0", n, err)
	}
	_, err = owner.Exec(k.ctx, "rollback")
	k.must(err)

	// The collector is not committed yet: the registration waits for it and makes the group anew.
	_, err = owner.Exec(k.ctx, "begin; delete from statek.wait_groups")
	k.must(err)
	registered := make(chan struct{})
	go func() {
		defer close(registered)
		b := &pgx.Batch{}
		k.waits.QueueRegister(b, second, spec)
		if err := k.pool.SendBatch(k.ctx, b).Close(); err != nil {
			t.Error(err)
		}
	}()
	k.blocked()
	_, err = owner.Exec(k.ctx, "commit")
	k.must(err)
	<-registered
	k.exec("insert into app.tasks (queue) values ('main')")
	k.quiesce()
	if len(k.mail(second)) != 1 {
		t.Error("the job did not wake")
	}
	k.offset.Add(int64(time.Hour))
	if n, err := k.waits.Collect(k.ctx); err != nil || n != 1 {
		t.Errorf("collected %d, %v; want 1", n, err)
	}
	if n := k.count("select count(*) from statek.wait_deps"); n != 0 {
		t.Errorf("%d deps are left, want 0", n)
	}
}

// blocked returns once a session of this database waits for another's transaction.
func (k *waitsKit) blocked() {
	k.Helper()
	for k.count(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`) == 0 {
		if k.ctx.Err() != nil {
			k.Fatal("nobody waits")
		}
	}
}

// TestRegisteringIntoOneGroupNeverDeadlocks: groups are created in the order of hashes.
func TestRegisteringIntoOneGroupNeverDeadlocks(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 15 {
				job := k.job("/")
				a := k.plan(1, "pickTask", def, id, fmt.Sprintf(`["a%d"]`, i))
				b := k.plan(2, "pickTask", def, id, fmt.Sprintf(`["b%d"]`, i))
				if worker%2 == 0 {
					a, b = b, a
				}
				k.register(k.pool, job, a, b)
			}
		})
	}
	all.Wait()
	if got := k.count("select count(*) from statek.waits"); got != 120 {
		t.Errorf("%d waits, want 120", got)
	}
	if got := k.count("select count(*) from statek.wait_groups"); got != 30 {
		t.Errorf("%d groups, want 30", got)
	}
}

// TestMarksNeverHarmTheWriter breaks what the triggers need, in every way at hand.
func TestMarksNeverHarmTheWriter(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec("drop owned by statek_tool cascade; grant usage on schema app to statek_tool; grant all on all tables in schema app to statek_tool")
	holder := k.session()
	_, err := holder.Exec(k.ctx, "begin; lock table statek.wait_deps in access exclusive mode")
	k.must(err)
	begin := time.Now()
	k.exec("insert into app.tasks (queue) values ('main')")
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("the writer waited for %v", d)
	}
	_, err = holder.Exec(k.ctx, "rollback")
	k.must(err)
	k.exec("alter table statek.dirty rename to gone")
	k.exec("begin isolation level repeatable read; insert into app.tasks (queue) values ('main'); commit")
	k.exec("alter table statek.gone rename to dirty")
	// Somebody without any right in schema statek.
	k.exec("begin; set local role statek_tool; insert into app.tasks (queue) values ('main'); commit")
	if n := k.count("select count(*) from app.tasks"); n != 3 {
		t.Errorf("%d rows were written, want 3", n)
	}
	failures, err := k.waits.WatchFailures(k.ctx)
	k.must(err)
	if failures != 2 {
		t.Errorf("%d failed marks were counted, want 2", failures)
	}
}

func TestWatchRefusesAndReports(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec("create table app.money (amount numeric, at timestamptz); create view app.v as select 1")
	for sql, want := range map[string]string{
		"select statek.watch('app.money', 'amount')": "type numeric, which cannot be a key",
		"select statek.watch('app.money', 'x')":      "has no column x",
		"select statek.watch('app.v')":               "app.v is not a table",
		"select statek.watch('app.nothing')":         "does not exist",
	} {
		_, err := k.pool.Exec(k.ctx, sql)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || !strings.Contains(pg.Message, want) {
			t.Errorf("%s: %v, want %q", sql, err, want)
		}
	}
	problems := func() []store.WatchProblem {
		list, err := k.waits.WatchProblems(k.ctx)
		k.must(err)
		return list
	}
	if got := problems(); len(got) != 0 {
		t.Errorf("problems %v, want none", got)
	}
	k.exec("create table app.parts_new partition of app.parts for values from (2000000) to (3000000)")
	if got := problems(); len(got) != 4 || !strings.Contains(got[0].Problem, "app.parts_new lacks") {
		t.Errorf("problems %v, want the four triggers of app.parts_new", got)
	}
	k.exec("select statek.watch('app.parts', 'queue', notify => false)")
	if got := problems(); len(got) != 0 {
		t.Errorf("problems %v, want none after watching again", got)
	}
	k.exec("select statek.unwatch('app.parts', 'queue'), statek.unwatch('app.tasks', 'queue')")
	if n := k.count("select count(*) from pg_trigger where tgname like 'statek%'"); n != 0 {
		t.Errorf("%d triggers are left, want 0", n)
	}
}

// TestNotifyIsAHint: with a waiter the writer notifies; without one, in REPEATABLE READ, or with notify off it
// does not; and the mark is there whether or not anybody listened.
func TestNotifyIsAHint(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	job := k.job("/")
	listener := k.session()
	_, err := listener.Exec(k.ctx, "listen statek_dirty")
	k.must(err)
	heard := func() bool {
		_, err := listener.Exec(k.ctx, "select pg_notify('statek_dirty', 'end')")
		k.must(err)
		ctx, cancel := context.WithTimeout(k.ctx, 10*time.Second)
		defer cancel()
		for before := false; ; before = true {
			n, err := listener.Conn().WaitForNotification(ctx)
			k.must(err)
			if n.Payload == "end" {
				return before
			}
		}
	}
	insert := "insert into app.tasks (queue) values ('main')"
	if k.exec(insert); heard() {
		t.Error("a write was announced that nobody waits for")
	}
	k.exec("delete from app.tasks")
	k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["main"]`))
	if k.exec(insert + "," + "('main')"); !heard() {
		t.Error("a write was not announced")
	}
	if k.exec("begin isolation level serializable; " + insert + "; commit"); heard() {
		t.Error("a serializable write was announced")
	}
	k.exec("select statek.watch('app.tasks', 'queue', notify => false)")
	if k.exec(insert); heard() {
		t.Error("a write was announced although notify is off")
	}
	if n := k.count("select count(*) from statek.dirty where dep = 'app.tasks:main'"); n != 3 {
		t.Errorf("%d marks, want 3", n)
	}
}
