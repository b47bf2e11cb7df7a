package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/store"
)

// TestMailSaysWhatWokeTheJob: every way to become ready, as it stands in the mailbox and as words.
func TestMailSaysWhatWokeTheJob(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	clocked, clockedID := k.define("-- temporal: clocked()\n-- recheck: 5s\n-- condition\nselect statek_off.f()\n-- complement\nselect 1 as one\n")
	k.exec(`create schema statek_off; grant usage on schema statek_off to statek_tool;
		create table statek_off.switch (on_ boolean); insert into statek_off.switch values (false); grant select on statek_off.switch to statek_tool;
		create function statek_off.f() returns boolean language sql as 'select on_ from statek_off.switch'`)
	wait := func(key string) uuid.UUID {
		job := k.job("/acme/dev")
		k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["`+key+`"]`))
		return job
	}
	changed := &changedKit{k, store.New(k.pool, nil, k.now)}
	change := func(args, write string) uuid.UUID {
		job := k.job("/acme/dev")
		k.register(k.pool, job, changed.watching(1, args))
		k.quiesce()
		k.exec(write)
		k.quiesceStill()
		return job
	}
	insert := func(key string) { k.exec("insert into app.tasks (queue) values ($1)", key) }
	for _, c := range []struct {
		name string
		make func() uuid.UUID
		want string
	}{
		{"a change", func() uuid.UUID { job := wait("a"); k.quiesce(); insert("a"); k.quiesceStill(); return job }, "a change of app.tasks[queue=a]"},
		{"two changes", func() uuid.UUID {
			job := wait("b")
			k.quiesce()
			k.exec("begin; insert into app.tasks (queue) values ('b'); insert into app.tasks (queue) values ('b'); commit")
			k.quiesceStill()
			return job
		}, "a change of app.tasks[queue=b], marked 2 times"},
		{"ready before", func() uuid.UUID { insert("c"); job := wait("c"); k.quiesce(); return job }, "the look when it began to wait"},
		{"no mark", func() uuid.UUID {
			job := wait("d")
			k.quiesce()
			k.exec("select statek.unwatch('app.tasks', 'queue'); insert into app.tasks (queue) values ('d')")
			_, err := k.waits.Sweep(k.ctx, 0, 100)
			k.must(err)
			k.exec("select statek.watch('app.tasks', 'queue')")
			return job
		}, "the safety sweep: nothing had told of it"},
		{"a lock", func() uuid.UUID {
			job := wait("e")
			k.quiesce()
			insert("e")
			holder := k.session()
			_, err := holder.Exec(k.ctx, "begin; select from app.tasks where queue = 'e' for update")
			k.must(err)
			k.quiesceStill()
			_, err = holder.Exec(k.ctx, "commit")
			k.must(err)
			k.quiesce()
			return job
		}, "another look, after a lock or a failure"},
		{"a recheck", func() uuid.UUID {
			job := k.job("/acme/dev")
			k.register(k.pool, job, k.plan(1, "clocked", clocked, clockedID, `[]`))
			k.quiesce()
			k.exec("update statek_off.switch set on_ = true")
			k.offset.Add(int64(6 * time.Second))
			k.quiesce()
			return job
		}, "its recheck"},
		{"an event", func() uuid.UUID {
			job := k.job("/acme/dev")
			k.register(k.pool, job, k.plan(1, "event", nil, "", `["paid"]`))
			k.exec("select statek.emit('/acme', 'paid', '1', 'k7')")
			k.quiesce()
			return job
		}, "the event paid[k7]"},
		{"an object", func() uuid.UUID { return change(`["one", "a"]`, fmt.Sprintf(putOne, "one")) }, "a change of object one/a at /acme/dev"},
		{"an object of many", func() uuid.UUID { return change(`["all"]`, fmt.Sprintf(putOne, "all")) }, "a change of objects all at /acme/dev"},
		{"a timer", func() uuid.UUID {
			job := k.job("/acme/dev")
			k.register(k.pool, job, k.plan(1, "sleep", nil, "", `["1h"]`))
			k.offset.Add(int64(2 * time.Hour))
			k.quiesce()
			return job
		}, "the clock"},
	} {
		job := c.make()
		var got string
		k.scan("select coalesce(string_agg(statek.woken_by(evidence::jsonb), '; '), 'no mail') from statek.mailbox where job_id = $1", &got, job)
		if got != c.want {
			t.Errorf("%s: woken by %q, want %q", c.name, got, c.want)
		}
	}
	k.exec("insert into statek.mailbox (job_id, kind) values ($1, 'pause')", k.job("/"))
	if n := k.count("select count(*) from statek.mailbox where kind = 'pause' and evidence is not null"); n != 0 {
		t.Error("mail that is no wait has evidence")
	}
}

// TestExplainSaysWhatTouchedIt: writes that did not help are known too.
func TestExplainSaysWhatTouchedIt(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	job := k.job("/acme/dev")
	k.exec(`insert into statek.job_state (job_id, core, status) values ($1, '{"seq":0}', 'SUSPENDED')`, job)
	k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["main"]`))
	k.quiesce()
	k.exec("insert into app.tasks (queue, state) values ('main', 'later')")
	k.exec("update app.tasks set note = 'x' where queue = 'main'")
	k.quiesce()
	var text string
	explain := "select concat_ws(' | ', touched, touches, touched_at > now() - interval '1 minute', last_result, next_look is not null, why) from statek.explain($1) where call = 1"
	k.scan(explain, &text, job)
	if want := "app.tasks with the key 'main' | 2 | t | idle | f | a committed change of app.tasks where the key is 'main'"; text != want {
		t.Errorf("explain: %q, want %q", text, want)
	}
	k.exec("revoke all on app.tasks from statek_tool; update app.tasks set note = 'y'")
	k.quiesceStill()
	k.scan(explain, &text, job)
	if !strings.Contains(text, "| 3 | t | failed | t |") || !strings.Contains(text, "its SQL failed and is tried again at") {
		t.Errorf("explain of a parked group: %q", text)
	}
}
