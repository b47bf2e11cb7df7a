package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/jobs"
	"statek/internal/pgtest"
	"statek/internal/store"
	"statek/internal/temporal"
)

// compete registers waits and makes a set of them, in one transaction.
func (k *waitsKit) compete(job uuid.UUID, mode temporal.Mode, specs ...temporal.Spec) {
	k.Helper()
	b := &pgx.Batch{}
	k.waits.QueueRegister(b, job, specs...)
	set := temporal.Set{Cell: 1, Mode: mode}
	for _, s := range specs {
		set.Calls = append(set.Calls, s.Call)
	}
	k.waits.QueueJoin(b, job, set)
	k.must(k.pool.SendBatch(k.ctx, b).Close())
}

// clean says that nothing of any wait is left.
func (k *waitsKit) clean() {
	k.Helper()
	if n := k.count("select (select count(*) from statek.waits) + (select count(*) from statek.wait_sets) + (select count(*) from statek.approvals where status = 'pending')"); n != 0 {
		k.Errorf("%d waits, sets and questions are left", n)
	}
}

// TestSetHasOneWinner lets evaluators, timers, people and the job itself end members of sets at once.
func TestSetHasOneWinner(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	const n = 60
	list := make([]uuid.UUID, n)
	for i := range list {
		list[i] = k.job("/acme/dev")
		k.compete(list[i], temporal.First,
			k.plan(1, "pickTask", def, id, fmt.Sprintf(`["q%d"]`, i%3)), k.plan(2, "event", nil, "", fmt.Sprintf(`["e%d"]`, i%5)),
			k.plan(3, "sleep", nil, "", fmt.Sprintf("[%d]", 200+i*5)), k.plan(4, "approval", nil, "", `["Pay?"]`),
			k.plan(5, "pickTask", def, id, fmt.Sprintf(`["q%d"]`, (i+1)%3)))
	}
	var decided, withdrawn atomic.Int64
	var all sync.WaitGroup
	chore := func(f func(i int)) {
		all.Go(func() {
			for i := range n {
				f(i)
			}
		})
	}
	chore(func(i int) { k.exec("insert into app.tasks (queue) values ($1)", fmt.Sprintf("q%d", i%3)) })
	chore(func(i int) { k.exec("select statek.emit('/', $1, '{}', $2)", fmt.Sprintf("e%d", i%5), fmt.Sprint(i)) })
	for range 3 {
		chore(func(int) { _, _, err := k.waits.Tick(k.ctx); k.must(err) })
	}
	chore(func(i int) {
		_, err := k.pool.Exec(k.ctx, `select statek.decide(id, '{"option":"approve"}', 'ada') from statek.approvals where job_id = $1`, list[n-1-i])
		var pg *pgconn.PgError
		switch {
		case err == nil:
			decided.Add(1)
		case !errors.As(err, &pg) || pg.Code != "ST410":
			t.Error(err)
		}
	})
	chore(func(i int) {
		if i%10 == 0 {
			b := &pgx.Batch{}
			k.waits.QueueWithdraw(b, list[i], temporal.Withdrawal{Cell: 1})
			k.must(k.pool.SendBatch(k.ctx, b).Close())
			withdrawn.Add(1)
		}
	})
	all.Wait()
	k.offset.Add(int64(time.Minute))
	k.quiesce()
	for i, job := range list {
		got := k.mail(job)
		if len(got) > 1 || len(got) == 0 && i%10 != 0 {
			t.Errorf("job %d has %v, want one value", i, got)
		}
	}
	if claimed, given := k.count("select count(*) from app.tasks where state = 'taken'"), k.count("select count(*) from statek.mailbox where call in (1, 5)"); claimed != given {
		t.Errorf("%d tasks were claimed and %d given", claimed, given)
	}
	if claimed, given := k.count("select count(*) from statek.fact_deliveries"), k.count("select count(*) from statek.mailbox where call = 2"); claimed != given {
		t.Errorf("%d events were delivered and %d given", claimed, given)
	}
	if answers, given := k.count("select count(*) from statek.approvals where status = 'decided'"), k.count("select count(*) from statek.mailbox where call = 4"); answers != given || int64(answers) != decided.Load() {
		t.Errorf("%d answers were recorded, %d given, %d accepted", answers, given, decided.Load())
	}
	k.clean()
}

// TestHeldSetIsSkipped: who finds a set taken leaves it and comes back.
func TestHeldSetIsSkipped(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	job := k.job("/")
	k.compete(job, temporal.First, k.plan(1, "pickTask", def, id, `["main"]`), k.plan(2, "sleep", nil, "", "[60000]"), k.plan(3, "event", nil, "", `["e"]`))
	k.quiesceStill()
	holder := k.session()
	_, err := holder.Exec(k.ctx, "begin; select from statek.wait_sets for update")
	k.must(err)
	k.exec("insert into app.tasks (queue) values ('main')")
	k.exec("select statek.emit('/', 'e')")
	k.offset.Add(int64(2 * time.Minute))
	round, err := k.waits.Drain(k.ctx)
	k.must(err)
	fired, err := k.waits.FireTimers(k.ctx, 10)
	k.must(err)
	if round.Served != 0 || fired != 0 || round.RetryIn == 0 || k.count("select count(*) from app.tasks where state = 'taken'") != 0 {
		t.Errorf("while the set was held: %+v, %d timers, want nothing claimed and a retry", round, fired)
	}
	_, err = holder.Exec(k.ctx, "rollback")
	k.must(err)
	k.quiesce()
	if got := k.mail(job); len(got) != 1 {
		t.Errorf("got %v, want one value", got)
	}
	k.clean()
}

// stuck runs f and returns when it waits for a lock; the channel gets its error.
func (k *waitsKit) stuck(f func() error) <-chan error {
	k.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	for {
		select {
		case err := <-done:
			k.Fatalf("it did not wait: %v", err)
		default:
		}
		if k.count("select count(*) from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()") > 0 {
			return done
		}
	}
}

// TestWhoWaitsForASet plays two sessions: one ends a member and holds it, the other waits for it and then finds what
// was decided.
func TestWhoWaitsForASet(t *testing.T) {
	t.Parallel()
	join := func(k *waitsKit, job uuid.UUID) error {
		b := &pgx.Batch{}
		k.waits.QueueRegister(b, job, k.plan(9, "event", nil, "", `["other"]`))
		k.waits.QueueJoin(b, job, temporal.Set{Cell: 1, Mode: temporal.First, Calls: []int{1, 9}})
		return k.pool.SendBatch(k.ctx, b).Close()
	}
	withdraw := func(k *waitsKit, job uuid.UUID) error {
		b := &pgx.Batch{}
		k.waits.QueueWithdraw(b, job, temporal.Withdrawal{Cell: 1})
		return k.pool.SendBatch(k.ctx, b).Close()
	}
	decide := func(k *waitsKit, job uuid.UUID) error {
		_, err := k.pool.Exec(k.ctx, `select statek.decide(id, '{"option":"approve"}', 'bob') from statek.approvals where job_id = $1`, job)
		return err
	}
	const answer = `select statek.decide(id, '{"option":"approve"}', 'ada') from statek.approvals`
	const drop = "select statek.withdraw_waits(job_id, cell) from statek.waits limit 1"
	tests := map[string]struct {
		first  string
		end    string
		second func(*waitsKit, uuid.UUID) error
		code   string // SQLSTATE of the second
		mail   int
		left   int
	}{
		"a decided member joins a set":    {answer, "commit", join, "", 1, 0},
		"a member joins after a rollback": {answer, "rollback", join, "", 0, 2},
		"decided, then withdrawn":         {answer, "commit", withdraw, "", 1, 0},
		"not decided, withdrawn":          {answer, "rollback", withdraw, "", 0, 0},
		"withdrawn, then decided":         {drop, "commit", decide, "ST410", 0, 0},
		"not withdrawn, decided":          {drop, "rollback", decide, "", 1, 0},
		"decided twice":                   {answer, "commit", decide, "ST409", 1, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newWaitsKit(t)
			job := k.job("/acme/dev")
			k.register(k.pool, job, k.plan(1, "approval", nil, "", `["Pay?"]`))
			holder := k.session()
			_, err := holder.Exec(k.ctx, "begin; "+tc.first)
			k.must(err)
			done := k.stuck(func() error { return tc.second(k, job) })
			_, err = holder.Exec(k.ctx, tc.end)
			k.must(err)
			err = <-done
			var pg *pgconn.PgError
			if code := ""; errors.As(err, &pg) && pg.Code != tc.code || err == nil && tc.code != code {
				t.Errorf("the second got %v, want %q", err, tc.code)
			}
			if got := k.mail(job); len(got) != tc.mail {
				t.Errorf("mail %v, want %d", got, tc.mail)
			}
			if got := k.count("select count(*) from statek.waits"); got != tc.left {
				t.Errorf("%d waits are left, want %d", got, tc.left)
			}
		})
	}
}

func TestSetsDecideByMode(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	plans := func() []temporal.Spec {
		return []temporal.Spec{
			k.plan(1, "event", nil, "", `["a", {"timeout": 10}]`), k.plan(2, "event", nil, "", `["b", {"timeout": 20}]`), k.plan(3, "sleep", nil, "", "[1000]"),
		}
	}
	first, any := k.job("/acme/dev"), k.job("/acme/dev")
	k.compete(first, temporal.First, plans()...)
	k.compete(any, temporal.Any, plans()...)
	k.offset.Add(int64(100 * time.Millisecond))
	_, err := k.waits.FireTimers(k.ctx, 100)
	k.must(err)
	if diff := cmp.Diff([]string{"timeout 1/1 null"}, k.mail(first)); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"timeout 1/1 null", "timeout 1/2 null"}, k.mail(any)); diff != "" {
		t.Errorf("any (-want +got):\n%s", diff)
	}
	k.offset.Add(int64(time.Minute))
	_, err = k.waits.FireTimers(k.ctx, 100)
	k.must(err)
	if got := k.mail(any); len(got) != 3 || got[2] != "resolved 1/3 null" {
		t.Errorf("any: %v", got)
	}
	k.clean()
}

func TestMessageHasToWinItsSet(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	s := store.New(k.pool, nil, time.Now)
	hold := func(status string) jobs.Hold {
		h := jobs.Hold{Job: k.job("/acme/dev"), Epoch: 1, Owner: uuid.New()}
		k.exec("insert into statek.job_state (job_id, status, core, epoch, owner) values ($1, $2, '{\"seq\":0}', $3, $4)", h.Job, status, h.Epoch, h.Owner)
		return h
	}
	take := func(h jobs.Hold) (bool, error) { return s.TakeMessage(k.ctx, h, 1, 1) }
	h := hold("SUSPENDED")
	if won, err := take(h); won || err != nil {
		t.Errorf("before it is registered: %v, %v", won, err)
	}
	specs := []temporal.Spec{k.plan(1, "message", nil, "", "[]"), k.plan(2, "event", nil, "", `["e"]`)}
	k.compete(h.Job, temporal.First, specs...)
	stale := h
	stale.Epoch++
	if _, err := take(stale); !errors.Is(err, jobs.ErrFenced) {
		t.Errorf("at another epoch: %v, want ErrFenced", err)
	}
	if won, err := take(h); !won || err != nil || k.count("select count(*) from statek.waits where kind = 'event'") != 0 {
		t.Errorf("it did not win: %v, %v", won, err)
	}
	if won, err := take(h); !won || err != nil {
		t.Errorf("after a crash: %v, %v, want it to have won still", won, err)
	}
	h = hold("SUSPENDED")
	k.compete(h.Job, temporal.First, specs...)
	k.exec("select statek.emit('/', 'e')")
	k.quiesce()
	if won, err := take(h); won || err != nil {
		t.Errorf("after the event: %v, %v, want it to have lost", won, err)
	}
}

// TestServingOneOfManyTakesAsMuchAsOneOfFew counts what goes over the wire for one insert.
func TestServingOneOfManyTakesAsMuchAsOneOfFew(t *testing.T) {
	t.Parallel()
	sent := map[int]int64{}
	for _, waiters := range []int{20, 2000} {
		k := newWaitsKit(t)
		var writes atomic.Int64
		pool := pgtest.Pool(t, k.pool.Config().ConnString(), func(config *pgxpool.Config) {
			dial := config.ConnConfig.DialFunc
			config.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				return countingConn{c, &writes}, err
			}
			config.MaxConns = 1 // what is prepared is prepared once
		})
		k.waits = store.NewWaits(pool, time.Now)
		def, id := k.define(pickTask)
		first := k.job("/")
		k.register(pool, first, k.plan(1, "pickTask", def, id, `["main"]`))
		k.exec("insert into statek.waits (job_id, cell, call, kind, name, group_id) select $1, 2, i, 'sql', 'pickTask', (select id from statek.wait_groups) from generate_series(1, $2) i", k.job("/"), waiters-1)
		k.quiesceStill()
		for round := range 2 { // the first prepares
			k.exec("insert into app.tasks (queue) values ('main')")
			before := writes.Load()
			got, err := k.waits.Drain(k.ctx)
			k.must(err)
			if got.Served != 1 || got.Looks != 1 {
				t.Errorf("%d waiters, round %d: %+v, want one served in one look", waiters, round, got)
			}
			sent[waiters] = writes.Load() - before
		}
		if got := k.count("select count(*) from statek.waits"); got != waiters-2 {
			t.Errorf("%d of %d wait, want all but two", got, waiters)
		}
	}
	if sent[20] == 0 || sent[20] != sent[2000] {
		t.Errorf("one of 20 took %d messages, one of 2,000 %d", sent[20], sent[2000])
	}
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// TestWaiterThatIsGoneIsSkipped: who has withdrawn is not served, and the order of the others stays.
func TestWaiterThatIsGoneIsSkipped(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	var list []uuid.UUID
	for range 3 {
		job := k.job("/")
		list = append(list, job)
		k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["main"]`))
	}
	b := &pgx.Batch{}
	k.waits.QueueWithdraw(b, list[0], temporal.Withdrawal{Cell: 1, Calls: []int{1}})
	k.must(k.pool.SendBatch(k.ctx, b).Close())
	k.exec("insert into app.tasks (queue) values ('main')")
	k.quiesce()
	if got := []int{len(k.mail(list[0])), len(k.mail(list[1])), len(k.mail(list[2]))}; !cmp.Equal(got, []int{0, 1, 0}) {
		t.Errorf("the jobs got %v values, want the second to have it", got)
	}
}

// TestRecheckHappensWhileSomebodyWaits: at its interval and not more often, spread, and not for nobody.
func TestRecheckHappensWhileSomebodyWaits(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.waits.Jitter = func() float64 { return 1 }
	k.exec("create sequence app.runs; grant usage on sequence app.runs to statek_tool; create table app.open (yes boolean); grant select on app.open to statek_tool")
	def, id := k.define("-- temporal: opens()\n-- recheck: 4s\n-- condition\nselect nextval('app.runs') > 0 and exists (select from app.open)\n-- complement\nselect 1 as one\n")
	runs := func() int { return k.count("select case when is_called then last_value else 0 end from app.runs") }
	job := k.job("/")
	spec := k.plan(1, "opens", def, id, "[]")
	k.register(k.pool, job, spec)
	round, err := k.waits.TryNow(k.ctx, spec.Group.Hash())
	k.must(err)
	k.quiesceStill()
	if before := runs(); round.RetryIn != 5*time.Second {
		t.Errorf("%d looks, then again in %s, want 4s and a quarter", before, round.RetryIn)
	}
	for range 3 {
		before := runs()
		k.offset.Add(int64(6 * time.Second))
		_, _, err := k.waits.Tick(k.ctx)
		k.must(err)
		_, _, err = k.waits.Tick(k.ctx)
		k.must(err)
		if got := runs() - before; got != 1 {
			t.Errorf("%d looks in one interval, want 1", got)
		}
	}
	b := &pgx.Batch{}
	k.waits.QueueWithdraw(b, job, temporal.Withdrawal{Cell: 1})
	k.must(k.pool.SendBatch(k.ctx, b).Close())
	before := runs()
	for range 3 {
		k.offset.Add(int64(6 * time.Second))
		_, _, err := k.waits.Tick(k.ctx)
		k.must(err)
	}
	if got := runs() - before; got != 0 {
		t.Errorf("%d looks for nobody", got)
	}
	if _, ok, err := k.waits.NextDue(k.ctx); ok || err != nil {
		t.Errorf("something is due although nobody waits (%v)", err)
	}
	k.register(k.pool, job, spec)
	k.quiesceStill()
	k.exec("insert into app.open values (true)")
	k.offset.Add(int64(6 * time.Second))
	_, _, err = k.waits.Tick(k.ctx)
	k.must(err)
	if got := k.mail(job); len(got) != 1 || !strings.HasPrefix(got[0], "resolved") {
		t.Errorf("got %v, want its value at the next recheck", got)
	}
}

// TestEndOfAJobWakesAllInBatches: more waiters than one transaction serves.
func TestEndOfAJobWakesAllInBatches(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	target := k.job("/acme/dev")
	k.exec("insert into statek.job_state (job_id, status, core) values ($1, 'STARTED', '{\"seq\":0}')", target)
	spec := k.plan(1, "job", nil, "", `["`+target.String()+`"]`)
	k.register(k.pool, k.job("/"), spec)
	k.exec("insert into statek.waits (job_id, cell, call, kind, name, group_id) select $1, 2, i, 'job', 'job', (select id from statek.wait_groups) from generate_series(1, 1200) i", k.job("/"))
	k.quiesce()
	if n := k.count("select count(*) from statek.mailbox"); n != 0 {
		t.Fatalf("%d woke early", n)
	}
	k.exec("update statek.job_state set status = 'DONE', outcome = 'failed' where job_id = $1", target)
	k.exec("select statek.mark_fact(array['job:' || $1])", target.String())
	round, err := k.waits.Drain(k.ctx)
	k.must(err)
	if round.Served != 1201 || round.Looks > 4 {
		t.Errorf("%+v, want 1201 served in at most 4 looks", round)
	}
	k.clean()
}
