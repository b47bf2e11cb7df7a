package store_test

import (
	"strings"
	"testing"
)

// TestCrowdsOfAChangedTable: what connections keep of a temporal is given up when its table has other columns, and crowds go on in company.
func TestCrowdsOfAChangedTable(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	all := strings.Replace(pickTask, "returning id, queue, amount", "returning *", 1)
	for _, step := range []struct{ prefix, change string }{
		{"a", ""}, {"b", "alter table app.tasks add column more text default 'more'"}, {"c", ""},
	} {
		list := k.queueOf(strings.Replace(all, "pickTask", "pick"+step.prefix, 1), step.prefix, 64) // the same statements
		if step.change != "" {
			k.exec(step.change)
		}
		k.exec("insert into app.tasks (queue) select $1 || i from generate_series(0, 63) i", step.prefix)
		if _, err := k.waits.Drain(k.ctx); err != nil {
			t.Fatal(err)
		}
		if n := k.woken(list); n != 64 {
			t.Errorf("%d of crowd %s woke, want 64", n, step.prefix)
		}
		if n := k.count("select count(*) from statek.mailbox where payload::jsonb ? 'more' and payload ->> 'queue' like $1", step.prefix+"%"); n != 64 && step.prefix != "a" {
			t.Errorf("crowd %s: %d letters have the new column", step.prefix, n)
		}
	}
	if n := k.count("select count(distinct xmin::text) from statek.mailbox where payload ->> 'queue' like 'c%'"); n > 40 { // a connection may keep what no look has used since
		t.Errorf("the mail of the last crowd was written by %d transactions", n)
	}
}

// TestCrowdsKeepToTheRightsOfATool: a statement that a connection keeps is read with them, too, so a schema that is closed to tools
// stays closed.
func TestCrowdsKeepToTheRightsOfATool(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec("create schema closed; create table closed.tasks (n integer); grant select on closed.tasks to statek_tool")
	list := k.queueOf(strings.Replace(pickTask, "returning id", "returning (select count(*) from closed.tasks), id", 1), "q", 20)
	k.exec("insert into app.tasks (queue) select 'q' || i from generate_series(0, 19) i")
	if _, err := k.waits.Drain(k.ctx); err != nil {
		t.Fatal(err)
	}
	if n := k.woken(list); n != 0 {
		t.Errorf("%d jobs were given what tools must not read", n)
	}
	if n := k.count("select count(*) from statek.wait_groups where last_error like '42501:%closed%'"); n != 20 {
		t.Errorf("%d groups say why, want 20", n)
	}
}

// TestALookAtAChangedTable: what a connection keeps was read before the table had other columns. It is asked anew in the same
// look, and nobody sees a failure.
func TestALookAtAChangedTable(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec("create table app.bids (id bigint generated always as identity, lot bigint, taken boolean); select statek.watch('app.bids', 'lot')")
	k.exec("grant select, update on app.bids to statek_tool")
	def, id := k.define(`-- temporal: bid(lot bigint)
-- watch: app.bids key lot
-- condition
select * from app.bids where lot = :lot and taken is null
-- complement
update app.bids set taken = true where lot = :lot and taken is null returning *
`)
	for i, change := range []string{"", "alter table app.bids add column more text default 'more'", "alter table app.bids drop column more"} {
		if change != "" {
			k.exec(change)
		}
		job := k.job("/")
		spec := k.plan(1, "bid", def, id, `[7]`)
		k.register(k.pool, job, spec)
		k.exec("insert into app.bids (lot) values (7)")
		for range 2 { // the first look after the registration may be the one that is served
			if _, _, err := k.waits.Tick(k.ctx); err != nil {
				t.Fatal(err)
			}
		}
		if n := k.count("select count(*) from statek.mailbox where job_id = $1", job); n != 1 {
			t.Errorf("after change %d (%s): %d letters, want 1", i, change, n)
		}
		if n := k.count("select count(*) from statek.wait_groups where last_error is not null"); n != 0 {
			t.Errorf("after change %d (%s): %d groups have failed", i, change, n)
		}
	}
}
