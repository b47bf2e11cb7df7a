package store_test

import (
	"testing"
	"time"
)

// TestMendingAWatchWakesWhoWaited: what was written while a trigger was missing left no mark; watching again leaves one for all who wait,
// so that nobody waits for the sweep, and when nothing was missing it leaves none.
func TestMendingAWatchWakesWhoWaited(t *testing.T) {
	t.Parallel()
	const (
		newLeaf = "create table app.parts_new partition of app.parts for values from (2000000) to (3000000);" +
			"grant select, update on app.parts_new to statek_tool; insert into app.parts_new values (2000001, 'main')"
		attached = "create table app.parts_new (id bigint not null, queue text, state text not null default 'ready'); insert into app.parts_new values (2000001, 'main');" +
			"grant select, update on app.parts_new to statek_tool; alter table app.parts attach partition app.parts_new for values from (2000000) to (3000000)"
		disabled  = "alter table app.parts_low disable trigger user; insert into app.parts_low values (1, 'main'); alter table app.parts_low enable trigger user"
		madeAgain = "drop table app.parts; create table app.parts (id bigint not null, queue text, state text not null default 'ready');" +
			"grant select, update on app.parts to statek_tool; insert into app.parts values (1, 'main')"
	)
	for name, c := range map[string]struct{ breakIt, watch string }{
		"a new leaf":             {newLeaf, "select statek.watch('app.parts', 'queue')"},
		"an attached leaf":       {attached, "select statek.watch('app.parts', 'queue')"},
		"disabled for a while":   {disabled, "select statek.watch('app.parts', 'queue')"},
		"a table made again":     {madeAgain, "select statek.watch('app.parts', 'queue')"},
		"in a stricter snapshot": {newLeaf, "begin isolation level serializable; select statek.watch('app.parts', 'queue'); commit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newWaitsKit(t)
			def, id := k.define(pickPart)
			job := k.job("/")
			k.register(k.pool, job, k.plan(1, "pickPart", def, id, `["main"]`))
			k.quiesce()
			k.exec(c.breakIt)
			k.quiesce()
			if got := k.mail(job); len(got) != 0 {
				t.Fatalf("the job woke without a mark: %v", got)
			}
			k.exec(c.watch)
			k.quiesce()
			if got := k.mail(job); len(got) != 1 {
				t.Errorf("after watching again the job has mail %v, want the row", got)
			}
			round, err := k.waits.Sweep(k.ctx, time.Nanosecond, 10)
			k.must(err)
			k.exec("select statek.watch('app.parts', 'queue')")
			if n := k.count("select count(*) from statek.dirty"); round.Caught != 0 || n != 0 {
				t.Errorf("the sweep caught %d, and a watch that was well left %d marks; want none", round.Caught, n)
			}
		})
	}
}

// TestRolledBackPreparedTransactionWakesNobody: it delays the looks that have to come after it, and they find nothing.
func TestRolledBackPreparedTransactionWakesNobody(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.exec("select statek.watch('app.tasks', 'queue', notify => false)")
	def, id := k.define(pickTask)
	name := k.pool.Config().ConnConfig.Database // prepared transactions are the whole server's
	writer := k.session()
	for _, end := range []string{"rollback", "commit"} {
		job := k.job("/")
		_, err := writer.Exec(k.ctx, "begin; insert into app.tasks (queue) values ('"+end+"'); prepare transaction '"+name+"'")
		k.must(err)
		k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["`+end+`"]`))
		_, err = k.waits.Stamp(k.ctx)
		k.must(err)
		if round, err := k.waits.Settle(k.ctx, 10); err != nil || round.Served != 0 || k.count("select count(*) from statek.wait_checks") != 1 {
			t.Errorf("%s: while the transaction is prepared: %+v, %v; want the check to be kept", end, round, err)
		}
		_, err = writer.Exec(k.ctx, end+" prepared '"+name+"'")
		k.must(err)
		k.quiesce()
		want := 0
		if end == "commit" {
			want = 1
		}
		if got := k.mail(job); len(got) != want || k.count("select count(*) from statek.wait_checks") != 0 {
			t.Errorf("%s: mail %v, want %d", end, got, want)
		}
	}
}
