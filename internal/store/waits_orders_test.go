package store_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/temporal"
)

// shape is what writers do while a job begins to wait. Each string is one step; %[1]s is the order's key, %[2]d its
// number, %[3]s a name for a prepared transaction.
type shape struct {
	name     string
	temporal string     // the text of the temporal that waits; pickTask when empty
	seed     string     // run before everything, committed
	writers  [][]string // the steps of one or two writers, the last of which ends the transaction
	// exclusive: nobody can look between the first write and the end, because the table is locked.
	exclusive bool
	asleep    bool // the job must not wake
	ends      bool // the wait is for the end of another job, which is the key
	drains    int  // how many looks at the marks fall among the steps
}

const (
	insertTask = "insert into app.tasks (queue) values ('%[1]s')"
	copyTask   = "COPY" // a step that the driver does by its own protocol
)

// transactions are all ways to end a transaction of each isolation level, its snapshot taken in the first step.
func transactions() []shape {
	var list []shape
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		begin := "begin isolation level " + level + "; select count(*) from app.parts"
		list = append(list,
			shape{name: level + ", commit", writers: [][]string{{begin, insertTask, "commit"}}, drains: 1},
			shape{name: level + ", rollback", writers: [][]string{{begin, insertTask, "rollback"}}, drains: 1, asleep: true},
			shape{name: level + ", prepare and commit", writers: [][]string{{
				begin + "; " + insertTask, "prepare transaction '%[3]s'", "commit prepared '%[3]s'",
			}}, drains: 1})
	}
	return append(list, shape{name: "xid early", writers: [][]string{{"begin; select pg_current_xact_id()", insertTask, "commit"}}, drains: 1})
}

// pairs are two writers; a job that waits gets one value whatever they do.
func pairs() []shape {
	insert := []string{"begin; " + insertTask, "commit"}
	return []shape{
		{name: "two inserts", writers: [][]string{insert, insert}},
		{name: "an insert and a rollback", writers: [][]string{insert, {"begin; " + insertTask, "rollback"}}},
		{name: "an insert and a repeatable read", writers: [][]string{insert, {"begin isolation level repeatable read; " + insertTask, "commit"}}},
		{name: "an insert and a serializable", writers: [][]string{insert, {"begin isolation level serializable; " + insertTask, "commit"}}},
		{name: "an insert and another table", writers: [][]string{insert, {"begin; insert into app.parts values (%[2]d, '-%[1]s')", "commit"}}},
		{name: "a savepoint and a rollback", writers: [][]string{{"begin; savepoint a; " + insertTask, "release a; commit"}, {"begin; " + insertTask, "rollback"}}},
	}
}

// statements are the ways in which a row can come to be what a job waits for.
func statements() []shape {
	seeded := "insert into app.tasks (queue, note) values ('%[1]s', '%[1]s')"
	other := "insert into app.tasks (queue, note) values ('-%[1]s', '%[1]s')"
	one := func(steps ...string) [][]string { return [][]string{steps} }
	list := []shape{
		{name: "read uncommitted", writers: one("begin isolation level read uncommitted; "+insertTask, "commit")},
		{name: "savepoint released", writers: one("begin; savepoint a; "+insertTask, "release a", "commit")},
		{name: "savepoint rolled back, then insert", writers: one("begin; savepoint a; "+insertTask+"; rollback to a", insertTask, "commit")},
		{name: "copy", writers: one("begin", copyTask, "commit")},
		{name: "on conflict update moves the key", seed: other, writers: one(
			"begin; insert into app.tasks (queue, note) values ('x', '%[1]s') on conflict (note) do update set queue = '%[1]s'", "commit")},
		{name: "on conflict do nothing", seed: other, asleep: true, writers: one(
			"begin; insert into app.tasks (queue, note) values ('%[1]s', '%[1]s') on conflict (note) do nothing", "commit")},
		{name: "update to the key", seed: other, writers: one("begin; update app.tasks set queue = '%[1]s' where queue = '-%[1]s'", "commit")},
		{name: "update off the key", temporal: drained, seed: seeded, writers: one("begin; update app.tasks set queue = 'x' where queue = '%[1]s'", "commit")},
		{name: "delete", temporal: drained, seed: seeded, writers: one("begin; delete from app.tasks where queue = '%[1]s'", "commit")},
		{name: "truncate", temporal: drained, seed: seeded, exclusive: true, writers: one("begin; truncate app.tasks", "commit")},
		{name: "truncate, repeatable read", temporal: drained, seed: seeded, exclusive: true,
			writers: one("begin isolation level repeatable read; truncate app.tasks", "commit")},
		{name: "merge", writers: one("begin; merge into app.tasks t using (select '%[1]s' as q) s on t.queue = s.q when not matched then insert (queue) values (s.q)", "commit")},
		{name: "partition through the parent", temporal: pickPart, writers: one("begin; insert into app.parts values (%[2]d, '%[1]s')", "commit")},
		{name: "partition directly", temporal: pickPart, writers: one("begin; insert into app.parts_high values (1000000 + %[2]d, '%[1]s')", "commit")},
		{name: "the end of a job", ends: true, writers: one(
			"begin; update statek.job_state set status = 'DONE', outcome = 'succeeded' where job_id = '%[1]s'",
			"select statek.mark_fact(array['job:%[1]s'])", "commit")},
		{name: "replica role", writers: one("begin; set local session_replication_role = replica; "+insertTask, "commit")},
	}
	for i := range list {
		list[i].drains = 1
	}
	return list
}

// TestNoWakeUpIsLost runs every order of a registration (register, commit, stamp, settle), of one or two writers
// and of a look at the marks, with real sessions, and then asks whether the job woke once, and whether a sweep
// finds anything. Transaction ids and snapshots are the whole server's, so orders are stepped one at a time; what
// other tests do meanwhile can only delay a settling.
func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	lists := map[string][]shape{"transactions": transactions(), "pairs": pairs(), "statements": statements()}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newWaitsKit(t)
			var cancel context.CancelFunc
			k.ctx, cancel = context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			k.exec("create index on app.tasks (queue); create index on app.parts (queue)")
			k.exec("select statek.watch('app.tasks', 'queue', notify => false)") // some of them prepare
			k.waits.Timeout = 250 * time.Millisecond
			o := &orders{waitsKit: k, waiter: k.session(), writers: []*pgxpool.Conn{k.session(), k.session()}, open: map[uuid.UUID]string{}}
			for _, s := range list {
				if testing.Short() && len(s.writers[0]) > 2 {
					continue // the short run leaves out the writers with three steps
				}
				o.play(s)
			}
			t.Logf("%d orders", o.n)
		})
	}
}

// orders runs shapes in all orders of their actors' steps: R the registration, A and B the writers, D a look.
type orders struct {
	*waitsKit
	shape
	def     *temporal.Definition
	id      string
	waiter  *pgxpool.Conn
	writers []*pgxpool.Conn
	n       int
	jobs    []uuid.UUID
	// open are the jobs to ask, with the order that each ran through.
	open map[uuid.UUID]string
}

func (k *waitsKit) session() *pgxpool.Conn {
	k.Helper()
	c, err := k.pool.Acquire(k.ctx)
	k.must(err)
	k.Cleanup(c.Release)
	return c
}

func (o *orders) play(s shape) {
	o.Helper()
	o.shape = s
	text := s.temporal
	if text == "" {
		text = pickTask
	}
	text = strings.Replace(text, "(queue text)", fmt.Sprintf("_%d(queue text)", o.n), 1)
	if o.def, o.id = o.define(text); s.ends {
		o.def, o.id = nil, ""
	}
	left := map[byte]int{'R': 4, 'D': s.drains}
	for i, steps := range s.writers {
		left['A'+byte(i)] = len(steps)
	}
	before := o.n
	o.all("", left)
	o.verify()
	if o.n-before < 100 && !s.exclusive {
		o.Errorf("%s: only %d orders ran", s.name, o.n-before)
	}
}

// all extends the order by each actor that has steps left.
func (o *orders) all(order string, left map[byte]int) {
	done := true
	for _, actor := range []byte("RABD") {
		if left[actor] == 0 {
			continue
		}
		done = false
		left[actor]--
		o.all(order+string(actor), left)
		left[actor]++
	}
	if done && !(o.exclusive && o.blocked(order)) {
		o.n++
		o.run(order)
	}
}

// blocked reports whether a look falls into the writer's lock.
func (o *orders) blocked(order string) bool {
	at := map[rune]int{}
	for _, actor := range order {
		at[actor]++
		if at['A'] > 0 && at['A'] < len(o.shape.writers[0]) && (actor == 'D' || actor == 'R' && at['R'] == 4) {
			return true
		}
	}
	return false
}

func (o *orders) run(order string) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, 10*time.Second)
	defer cancel()
	key := fmt.Sprintf("k%d", o.n)
	if o.ends {
		key = o.job("/acme/dev/below").String()
		o.exec("insert into statek.job_state (job_id, status, core) values ($1, 'STARTED', '{\"seq\":0}')", key)
	}
	if o.seed != "" {
		o.exec(o.sql(o.seed, key, 0))
	}
	job := o.nextJob()
	at := map[rune]int{}
	for _, actor := range order {
		at[actor]++
		var err error
		switch actor {
		case 'R':
			err = o.registration(ctx, at['R'], job, key)
		case 'D':
			_, err = o.waits.Drain(ctx)
		default:
			err = o.write(ctx, int(actor-'A'), at[actor], key)
		}
		if err != nil {
			o.Fatalf("%s, order %s, step %c%d: %v", o.name, order, actor, at[actor], err)
		}
	}
	o.open[job] = order
	if o.exclusive {
		o.verify() // the next order's TRUNCATE would wake a job that this one lost
	}
}

// nextJob makes jobs in bulk.
func (o *orders) nextJob() uuid.UUID {
	o.Helper()
	if len(o.jobs) == 0 {
		rows, err := o.pool.Query(o.ctx, `insert into statek.jobs (prefix, agent_id, role, agent_version, spec)
			select '/acme/dev', $1, 'a', 1, '{}' from generate_series(1, 500) returning id`, o.agent)
		o.must(err)
		o.jobs, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		o.must(err)
	}
	job := o.jobs[0]
	o.jobs = o.jobs[1:]
	return job
}

// verify lets everything that is owed happen and asks whether each job woke. Orders have keys of their own,
// so no later write can hide a loss.
func (o *orders) verify() {
	o.Helper()
	o.quiesce()
	round, err := o.waits.Sweep(o.ctx, 0, 10_000)
	o.must(err)
	if round.Caught != 0 {
		o.Errorf("%s: the sweep caught %d", o.name, round.Caught)
	}
	want := 1
	if o.asleep {
		want = 0
	}
	got := map[uuid.UUID]int{}
	rows, err := o.pool.Query(o.ctx, "delete from statek.mailbox returning job_id")
	o.must(err)
	woken, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	o.must(err)
	for _, job := range woken {
		got[job]++
	}
	for job, order := range o.open {
		if got[job] != want {
			o.Errorf("%s, order %s: the job got %d values, want %d", o.name, order, got[job], want)
		}
	}
	clear(o.open)
	o.exec("delete from statek.waits; delete from statek.wait_groups") // a TRUNCATE marks all groups of the table
}

func (o *orders) registration(ctx context.Context, step int, job uuid.UUID, key string) error {
	switch step {
	case 1:
		_, err := o.waiter.Exec(ctx, "begin")
		o.must(err)
		name := "job"
		if o.def != nil {
			name = o.def.Name
		}
		o.register(o.waiter, job, o.plan(1, name, o.def, o.id, `["`+key+`"]`))
		return nil
	case 2:
		_, err := o.waiter.Exec(ctx, "commit")
		return err
	case 3:
		_, err := o.waits.Stamp(ctx)
		return err
	default:
		_, err := o.waits.Settle(ctx, 100)
		return err
	}
}

func (o *orders) write(ctx context.Context, writer, step int, key string) error {
	text := o.shape.writers[writer][step-1]
	if text == copyTask {
		_, err := o.writers[writer].CopyFrom(ctx, pgx.Identifier{"app", "tasks"}, []string{"queue"}, pgx.CopyFromRows([][]any{{key}}))
		return err
	}
	_, err := o.writers[writer].Exec(ctx, o.sql(text, key, writer))
	return err
}

func (o *orders) sql(text, key string, writer int) string {
	gid := fmt.Sprintf("%s_%d_%d", o.pool.Config().ConnConfig.Database, o.n, writer)
	return strings.NewReplacer("%[1]s", key, "%[2]d", strconv.Itoa(o.n), "%[3]s", gid).Replace(text)
}

// TestTwoWritersServeTwoWaiters checks, with the orders of two writers, that each row is claimed once.
func TestTwoWritersServeTwoWaiters(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	writers := []*pgxpool.Conn{k.session(), k.session()}
	for i, order := range []string{"ABabR", "ABRab", "ARBba", "RABab", "AaRBb", "ABbRa", "RAaBb"} {
		key := fmt.Sprintf("two%d", i)
		jobs := []uuid.UUID{k.job("/"), k.job("/")}
		for _, step := range order {
			switch step {
			case 'A', 'B':
				_, err := writers[step-'A'].Exec(k.ctx, "begin; "+fmt.Sprintf(insertTask, key))
				k.must(err)
			case 'a', 'b':
				_, err := writers[step-'a'].Exec(k.ctx, "commit")
				k.must(err)
			case 'R':
				for _, job := range jobs {
					k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["`+key+`"]`))
				}
			}
			_, _, err := k.waits.Tick(k.ctx)
			k.must(err)
		}
		k.quiesce()
		if got := []int{len(k.mail(jobs[0])), len(k.mail(jobs[1]))}; !cmp.Equal(got, []int{1, 1}) {
			t.Errorf("order %s: the jobs got %v values, want one each", order, got)
		}
	}
	if n := k.count("select count(*) from app.tasks where state <> 'taken'"); n != 0 {
		t.Errorf("%d rows are left, want 0", n)
	}
	if n := k.count("select count(distinct payload::text) from statek.mailbox"); n != 14 {
		t.Errorf("%d different rows were given out, want 14", n)
	}
}
