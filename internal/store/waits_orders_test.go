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

// shape is a writer: what it does in each of its steps, the last of which ends its transaction.
type shape struct {
	name     string
	temporal string // the text of the temporal that waits; pickTask when empty
	seed     string // run before everything, committed
	early    string // the writer's beginning, before anything else happens
	steps    []string
	copy     bool // COPY before the last step
	// exclusive: nobody can look between the first write and the end, because the table is locked.
	exclusive bool
	asleep    bool // the job must not wake
	ends      bool // the wait is for the end of another job, which is the key
}

const insertTask = "insert into app.tasks (queue) values ('%[1]s')"

func shapes() []shape {
	seeded := "insert into app.tasks (queue, note) values ('%[1]s', '%[1]s')"
	other := "insert into app.tasks (queue, note) values ('-%[1]s', '%[1]s')"
	return []shape{
		{name: "insert", steps: []string{"begin; " + insertTask, "commit"}},
		{name: "insert, xid early", early: "begin; select pg_current_xact_id()", steps: []string{insertTask, "commit"}},
		{name: "insert, snapshot early", early: "begin; select count(*) from app.tasks", steps: []string{insertTask, "commit"}},
		{name: "read uncommitted", steps: []string{"begin isolation level read uncommitted; " + insertTask, "commit"}},
		{name: "repeatable read, snapshot early", early: "begin isolation level repeatable read; select 1 from app.tasks", steps: []string{insertTask, "commit"}},
		{name: "serializable, xid early", early: "begin isolation level serializable; select pg_current_xact_id()", steps: []string{insertTask, "commit"}},
		{name: "savepoint released", steps: []string{"begin; savepoint a; " + insertTask, "release a", "commit"}},
		{name: "savepoint rolled back, then insert", early: "begin; savepoint a; " + insertTask + "; rollback to a",
			steps: []string{insertTask, "commit"}},
		{name: "rollback", steps: []string{"begin; " + insertTask, "rollback"}, asleep: true},
		{name: "copy", steps: []string{"begin", "commit"}, copy: true},
		{name: "on conflict update moves the key", seed: other, steps: []string{
			"begin; insert into app.tasks (queue, note) values ('x', '%[1]s') on conflict (note) do update set queue = '%[1]s'", "commit"}},
		{name: "on conflict do nothing", seed: other, asleep: true, steps: []string{
			"begin; insert into app.tasks (queue, note) values ('%[1]s', '%[1]s') on conflict (note) do nothing", "commit"}},
		{name: "update to the key", seed: other, steps: []string{"begin; update app.tasks set queue = '%[1]s' where queue = '-%[1]s'", "commit"}},
		{name: "update off the key", temporal: drained, seed: seeded, steps: []string{"begin; update app.tasks set queue = 'x' where queue = '%[1]s'", "commit"}},
		{name: "delete", temporal: drained, seed: seeded, steps: []string{"begin; delete from app.tasks where queue = '%[1]s'", "commit"}},
		{name: "truncate", temporal: drained, seed: seeded, exclusive: true, steps: []string{"begin; truncate app.tasks", "commit"}},
		{name: "truncate, repeatable read", temporal: drained, seed: seeded, exclusive: true,
			early: "begin isolation level repeatable read; select 1", steps: []string{"truncate app.tasks", "commit"}},
		{name: "merge", steps: []string{"begin; merge into app.tasks t using (select '%[1]s' as q) s on t.queue = s.q when not matched then insert (queue) values (s.q)", "commit"}},
		{name: "partition through the parent", temporal: pickPart, steps: []string{"begin; insert into app.parts values (%[2]d, '%[1]s')", "commit"}},
		{name: "partition directly", temporal: pickPart, steps: []string{"begin; insert into app.parts_high values (1000000 + %[2]d, '%[1]s')", "commit"}},
		{name: "the end of a job", ends: true, steps: []string{
			"begin; update statek.job_state set status = 'DONE', outcome = 'succeeded' where job_id = '%[1]s'",
			"select statek.mark_fact(array['job:%[1]s'])", "commit"}},
		{name: "replica role", steps: []string{"begin; set local session_replication_role = replica; " + insertTask, "commit"}},
	}
}

// TestNoWakeUpIsLost runs every order of a registration, a writer and a drain, with real sessions, and then
// asks whether the job woke. The registration is: register, commit, stamp, settle.
func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && len(s.steps) > 2 {
				t.Skip("the short run leaves out the writers with three steps")
			}
			k := newWaitsKit(t)
			k.waits.Timeout = 250 * time.Millisecond
			text := s.temporal
			if text == "" {
				text = pickTask
			}
			def, id := k.define(text)
			if s.ends {
				def, id = nil, ""
			}
			o := &orders{waitsKit: k, shape: s, def: def, id: id, waiter: k.session(), writer: k.session(), open: map[uuid.UUID]string{}}
			o.all("", map[byte]int{'R': 4, 'W': len(s.steps), 'D': 1})
			o.verify()
			if o.n < 100 && !s.exclusive {
				t.Fatalf("only %d orders ran", o.n)
			}
		})
	}
}

// orders runs a shape in all orders of its actors' steps.
type orders struct {
	*waitsKit
	shape
	def            *temporal.Definition
	id             string
	waiter, writer *pgxpool.Conn
	n              int
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

// all extends the order by each actor that has steps left.
func (o *orders) all(order string, left map[byte]int) {
	done := true
	for _, actor := range []byte{'R', 'W', 'D'} {
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

// blocked reports whether a look (drain, or the registration's fourth step) falls into the writer's lock.
func (o *orders) blocked(order string) bool {
	writes, registers := 0, 0
	for _, actor := range order {
		switch actor {
		case 'W':
			writes++
		case 'R':
			registers++
		}
		if writes > 0 && writes < len(o.steps) && (actor == 'D' || actor == 'R' && registers == 4) {
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
		o.exec(o.sql(o.seed, key))
	}
	job := o.job("/acme/dev")
	if o.early != "" {
		_, err := o.writer.Exec(ctx, o.sql(o.early, key))
		o.must(err)
	}
	at := map[rune]int{}
	for _, actor := range order {
		at[actor]++
		var err error
		switch actor {
		case 'R':
			err = o.registration(ctx, at['R'], job, key)
		case 'W':
			err = o.write(ctx, at['W'], key)
		case 'D':
			_, err = o.waits.Drain(ctx)
		}
		if err != nil {
			o.Fatalf("order %s, step %c%d: %v", order, actor, at[actor], err)
		}
	}
	o.open[job] = order
	if o.exclusive {
		o.verify() // the next order's TRUNCATE would wake a job that this one lost
	}
}

// verify lets everything that is owed happen and asks whether each job woke. Orders have keys of their own,
// so no later write can hide a loss.
func (o *orders) verify() {
	o.Helper()
	o.quiesce()
	want := 1
	if o.asleep {
		want = 0
	}
	for job, order := range o.open {
		if got := len(o.mail(job)); got != want {
			o.Errorf("order %s: job got %d values, want %d", order, got, want)
		}
	}
	clear(o.open)
	o.exec("delete from statek.waits")
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

func (o *orders) write(ctx context.Context, step int, key string) error {
	if o.copy && step == len(o.steps) {
		_, err := o.writer.CopyFrom(ctx, pgx.Identifier{"app", "tasks"}, []string{"queue"}, pgx.CopyFromRows([][]any{{key}}))
		if err != nil {
			return err
		}
	}
	_, err := o.writer.Exec(ctx, o.sql(o.steps[step-1], key))
	return err
}

func (o *orders) sql(text, key string) string {
	return strings.NewReplacer("%[1]s", key, "%[2]d", strconv.Itoa(o.n)).Replace(text)
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
			_, err := k.waits.Tick(k.ctx)
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
