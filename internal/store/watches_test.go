package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/store"
)

// watchSchema is an application with every kind of table that can be watched.
const watchSchema = `
create schema w;
create type w.color as enum ('red', 'dark red');
create domain w.code as text check (value <> '');
create domain w.short_code as w.code;
create table w.plain (id int primary key, q text, n int default 0);
create table w.other (id int primary key, q text);
create table w.parent (id int primary key, q text);
create table w.child (id int primary key, q text, parent int references w.parent on delete cascade on update cascade);
create table w.orphan (id int primary key, q text, p text references w.named on delete set null);
create table w.tree (id int, q text) partition by range (id);
create table w.tree_low partition of w.tree for values from (0) to (100);
create table w.tree_high partition of w.tree for values from (100) to (200) partition by list (q);
create table w.tree_high_a partition of w.tree_high for values in ('a', 'b');
create table w.tree_high_rest partition of w.tree_high default;
create table w.base (id int, q text);
create table w.heir (extra int) inherits (w.base);
create table w.grandheir () inherits (w.heir);
create table w.gen (id int, raw text, q text generated always as (lower(raw)) stored);
create table w."Odd Name" (id int, "the Key" text);
create table w.ks (t text, v varchar(9), c char(4), u uuid, i int, l bigint, s smallint, b boolean, e w.color, d w.short_code, n name, o text collate "POSIX");
create function w.add(text) returns void language sql as $$ insert into w.plain values ((select coalesce(max(id), 0) + 1 from w.plain), $1) $$;
select statek.watch('w.plain', 'q'), statek.watch('w.child', 'q'), statek.watch('w.orphan', 'p'), statek.watch('w.tree', 'q'),
  statek.watch('w.base', 'q'), statek.watch('w.gen', 'q'), statek.watch('w."Odd Name"', 'the Key'), statek.watch('w.other');
`

// watchKit is a database with that application and somebody who waits for the keys a, b and z of each.
func newWatchKit(t *testing.T) *waitsKit {
	t.Helper()
	k := newWaitsKit(t)
	k.exec(strings.Replace(watchSchema, "create table w.orphan", "create table w.named (p text primary key);\ncreate table w.orphan", 1))
	for _, rel := range []string{"w.plain", "w.child", "w.orphan", "w.tree", "w.base", "w.gen", "w.Odd Name", "w.tree_low", "w.heir"} {
		for _, key := range []string{"a", "b", "z"} {
			k.waitFor(rel + ":" + key)
		}
	}
	k.waitFor("w.other:*")
	return k
}

// waitFor makes a group with one dep.
func (k *waitsKit) waitFor(dep string) {
	k.Helper()
	k.exec(`with g as (insert into statek.wait_groups (prefix, kind, name, args, hash) values ('/', 'event', 'x', '{}', sha256($1::text::bytea)) returning id)
		insert into statek.wait_deps (dep, group_id) select $1, id from g`, dep)
}

// marks takes the marks out and returns their deps, each once.
func (k *waitsKit) marks() []string {
	k.Helper()
	rows, err := k.pool.Query(k.ctx, "delete from statek.dirty returning dep || case when below then ' and below' else '' end")
	k.must(err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	k.must(err)
	slices.Sort(list)
	return slices.Compact(list)
}

type write struct {
	name string
	seed string // before, its marks do not count
	do   string // one session's statements
	want string // deps
}

func writes() []write {
	return []write{
		{"insert of a key", "", "insert into w.plain values (1, 'a')", "w.plain:a"},
		{"insert of several", "", "insert into w.plain values (2, 'a'), (3, 'b'), (4, 'nobody')", "w.plain:a, w.plain:b"},
		{"insert of null", "", "insert into w.plain values (5, null)", ""},
		{"update beside the key", "", "update w.plain set n = 1 where id = 1", "w.plain:a"},
		{"update of the key", "", "update w.plain set q = 'b' where id = 1", "w.plain:a, w.plain:b"},
		{"update to null", "", "update w.plain set q = null where id = 2", "w.plain:a"},
		{"update from null", "", "update w.plain set q = 'z' where id = 5", "w.plain:z"},
		{"update of nothing", "", "update w.plain set q = 'z' where false", ""},
		{"delete", "", "delete from w.plain where id = 5", "w.plain:z"},
		{"on conflict update", "insert into w.plain values (10, 'a')", "insert into w.plain values (10, 'z') on conflict (id) do update set q = excluded.q", "w.plain:a, w.plain:z"},
		{"on conflict nothing", "", "insert into w.plain values (10, 'b') on conflict do nothing", ""},
		{"insert in a CTE", "", "with x as (insert into w.plain values (20, 'a') returning q) select * from x", "w.plain:a"},
		{"merge", "", "merge into w.plain t using (values (20, 'b'), (21, 'z')) s(id, q) on t.id = s.id when matched then update set q = s.q when not matched then insert (id, q) values (s.id, s.q)", "w.plain:a, w.plain:b, w.plain:z"},
		{"merge that deletes", "", "merge into w.plain t using (values (21)) s(id) on t.id = s.id when matched then delete", "w.plain:z"},
		{"a function", "", "select w.add('a')", "w.plain:a"},
		{"a DO block with a caught error", "", "do $$ begin insert into w.plain values (30, 'a'); begin insert into w.plain values (31, 'b'); raise 'x'; exception when others then null; end; end $$", "w.plain:a"},
		{"a savepoint rolled back", "", "begin; insert into w.plain values (40, 'a'); savepoint s; insert into w.plain values (41, 'b'); rollback to s; commit", "w.plain:a"},
		{"a savepoint released", "", "begin; savepoint s; insert into w.plain values (42, 'b'); release s; commit", "w.plain:b"},
		{"a rollback", "", "begin; insert into w.plain values (43, 'b'); rollback", ""},
		{"cascade of a delete", "insert into w.parent values (1); insert into w.child values (1, 'a', 1), (2, 'b', 1)", "delete from w.parent where id = 1", "w.child:a, w.child:b"},
		{"cascade of an update", "insert into w.parent values (2); insert into w.child values (3, 'a', 2)", "update w.parent set id = 3 where id = 2", "w.child:a"},
		{"set null of the key", "insert into w.named values ('a'); insert into w.orphan values (1, '', 'a')", "delete from w.named", "w.orphan:a"},
		{"truncate", "", "truncate w.plain", "w.plain:a, w.plain:b, w.plain:z"},
		{"truncate cascade", "", "truncate w.parent cascade", "w.child:a, w.child:b, w.child:z"},
		{"the whole table", "", "insert into w.other values (1)", "w.other:*"},
		{"truncate of the whole table", "", "truncate w.other", "w.other:*"},
		{"partitions through the root", "", "insert into w.tree values (1, 'a'), (101, 'b'), (102, 'z')", "w.tree:a, w.tree:b, w.tree:z"},
		{"a leaf", "", "insert into w.tree_low values (2, 'b')", "w.tree:b"},
		{"a nested leaf", "", "insert into w.tree_high_rest values (103, 'z')", "w.tree:z"},
		{"the middle of the tree", "", "insert into w.tree_high values (104, 'a')", "w.tree:a"},
		{"a move between partitions", "", "update w.tree set id = 3, q = 'b' where id = 102", "w.tree:b, w.tree:z"},
		{"delete through the root", "", "delete from w.tree where id = 3", "w.tree:b"},
		{"truncate of a leaf", "", "truncate w.tree_low", "w.tree:a, w.tree:b, w.tree:z"},
		{"truncate of the root", "", "truncate w.tree", "w.tree:a, w.tree:b, w.tree:z"},
		{"an heir directly", "", "insert into w.heir values (1, 'a', 1)", "w.base:a"},
		{"a grandheir directly", "", "insert into w.grandheir values (2, 'b', 1)", "w.base:b"},
		{"heirs through the base", "", "update w.base set q = 'z' where q = 'a'", "w.base:a, w.base:z"},
		{"a delete that reaches heirs", "", "delete from w.base", "w.base:b, w.base:z"},
		{"a generated key", "", "insert into w.gen (id, raw) values (1, 'A')", "w.gen:a"},
		{"a generated key that changes", "", "update w.gen set raw = 'B'", "w.gen:a, w.gen:b"},
		{"names that need quotes", "", `insert into w."Odd Name" values (1, 'a')`, "w.Odd Name:a"},
		{"repeatable read", "", "begin isolation level repeatable read; insert into w.plain values (50, 'nobody'); commit", "w.plain:nobody"},
		{"serializable", "", "begin isolation level serializable; update w.plain set q = 'b'; commit", "w.plain:b, w.plain:nobody"},
		{"truncate, repeatable read", "", "begin isolation level repeatable read; truncate w.plain; commit", "w.plain: and below"},
		{"replica role", "", "begin; set local session_replication_role = replica; insert into w.plain values (51, 'a'); commit", "w.plain:a"},
		{"no right in schema statek", "grant usage on schema w to statek_tool; grant all on w.plain to statek_tool", "begin; set local role statek_tool; insert into w.plain values (52, 'a'); commit", "w.plain:a"},
		{"a search path that misleads", "create schema if not exists evil; create or replace function evil.current_setting(text) returns text language sql as 'select (1/0)::text'",
			"begin; set local search_path = evil, pg_catalog; insert into w.plain values (53, 'b'); commit", "w.plain:b"},
		{"a child's own watch, through the root", "select statek.watch('w.tree_low', 'q')", "insert into w.tree values (5, 'a')", "w.tree:a, w.tree_low:a"},
		{"an heir's own watch, through the base", "select statek.watch('w.heir', 'q'); insert into w.heir values (9, 'a')", "update w.base set q = 'b'", "w.base:a, w.base:b, w.heir:a, w.heir:b"},
	}
}

// TestEveryWriteLeavesItsMarks: whatever way a row changes, the keys it had and has are marked, and nothing else.
func TestEveryWriteLeavesItsMarks(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	for _, w := range writes() {
		if w.seed != "" {
			k.exec(w.seed)
			k.marks()
		}
		k.exec(w.do)
		if got := strings.Join(k.marks(), ", "); got != w.want {
			t.Errorf("%s: marks %q, want %q", w.name, got, w.want)
		}
	}
	_, err := k.session().CopyFrom(k.ctx, pgx.Identifier{"w", "tree"}, []string{"id", "q"}, pgx.CopyFromRows([][]any{{7, "a"}, {150, "b"}, {8, nil}}))
	k.must(err)
	if diff := cmp.Diff([]string{"w.tree:a", "w.tree:b", "w.tree_low:a"}, k.marks()[:3]); diff != "" {
		t.Errorf("copy: marks (-want +got):\n%s", diff)
	}
	if n, err := k.waits.WatchFailures(k.ctx); err != nil || n != 0 {
		t.Errorf("%d marks failed, %v; want 0", n, err)
	}
}

// TestKeysOfEveryType: the key in the mark is the text that the same value has as an argument.
func TestKeysOfEveryType(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	for column, value := range map[string]string{
		"t": "a b", "v": "x", "c": "ab", "u": "0195d3a0-1111-7000-8000-000000000000", "i": "-7", "l": "9007199254740993", "s": "3",
		"b": "true", "e": "dark red", "d": "A-1", "n": "nam", "o": "own collation",
	} {
		k.exec(fmt.Sprintf("select statek.watch('w.ks', '%s')", column))
		k.marks() // a new watch leaves one for those who wait for the table
		k.waitFor("w.ks:" + value)
		k.exec(fmt.Sprintf("insert into w.ks (%s) values ('%s')", column, value))
		if diff := cmp.Diff([]string{"w.ks:" + value}, k.marks()); diff != "" {
			t.Errorf("column %s: marks (-want +got):\n%s", column, diff)
		}
		k.exec(fmt.Sprintf("select statek.unwatch('w.ks', '%s'); delete from w.ks", column))
	}
}

// TestVeryWideTable: a key among 1,500 columns and a long row.
func TestVeryWideTable(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	var columns []string
	for i := range 1500 {
		columns = append(columns, fmt.Sprintf("c%d smallint default 1", i))
	}
	k.exec("create table w.wide (" + strings.Join(columns, ", ") + ", q text, big text)")
	k.exec("select statek.watch('w.wide', 'q')")
	k.waitFor("w.wide:a")
	k.exec("insert into w.wide (q, big) values ('a', repeat('x', 1000000))")
	if diff := cmp.Diff([]string{"w.wide:a"}, k.marks()); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

// TestPreparedTransactions: with notify => false the application may use two-phase commit; its mark comes with
// its data, and applying the definitions again must not turn the notification on.
func TestPreparedTransactions(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	name := k.pool.Config().ConnConfig.Database // prepared transactions are the whole server's
	writer := k.session()
	prepare := "begin; insert into w.plain values (1, 'a'); prepare transaction '" + name + "'"
	if _, err := writer.Exec(k.ctx, prepare); err == nil {
		t.Error("a transaction that notifies could be prepared; this test no longer shows why notify => false exists")
	}
	_, err := writer.Exec(k.ctx, "rollback")
	k.must(err)
	k.exec("select statek.watch('w.plain', 'q', notify => false)")
	k.exec("select statek.watch('w.plain', 'q'), statek.watch('w.plain', 'id')")
	k.marks() // a new watch leaves one
	for _, write := range []string{"insert into w.plain values (1, 'a')", "truncate w.plain"} {
		_, err = writer.Exec(k.ctx, "begin; "+write+"; prepare transaction '"+name+"'")
		k.must(err)
		if got := k.marks(); len(got) != 0 {
			t.Errorf("%s: marks %v before the commit", write, got)
		}
		_, err = writer.Exec(k.ctx, "commit prepared '"+name+"'")
		k.must(err)
		if got := k.marks(); !slices.Contains(got, "w.plain:a") {
			t.Errorf("%s: marks %v, want w.plain:a", write, got)
		}
	}
}

// TestWatchingAgainTakesNoLock: apply watches again each time, beside writers.
func TestWatchingAgainTakesNoLock(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	writer := k.session()
	_, err := writer.Exec(k.ctx, "begin; insert into w.tree values (1, 'a')")
	k.must(err)
	k.exec("select statek.watch('w.tree', 'q')")
	_, err = writer.Exec(k.ctx, "commit")
	k.must(err)
	k.exec("create table w.tree_more partition of w.tree for values from (200) to (300)")
	_, err = writer.Exec(k.ctx, "begin; insert into w.tree_more values (201, 'a')")
	k.must(err)
	k.marks()
	_, err = k.pool.Exec(k.ctx, "select statek.watch('w.tree', 'q')")
	if err == nil || !strings.Contains(err.Error(), "w.tree is in use") {
		t.Errorf("watching a partition that is written: %v, want to be told that it is in use", err)
	}
	_, err = writer.Exec(k.ctx, "rollback")
	k.must(err)
	k.exec("select statek.watch('w.tree', 'q'); insert into w.tree_more values (202, 'b')")
	if diff := cmp.Diff([]string{"w.tree: and below", "w.tree:b"}, k.marks()); diff != "" {
		t.Errorf("marks after watching the new partition (-want +got):\n%s", diff)
	}
}

// TestOurOwnLocksDoNotHoldWriters: while a migration holds each of our tables, the application's write goes on within
// its bound, the failure is counted, and a sweep finds what was written.
func TestOurOwnLocksDoNotHoldWriters(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"statek.wait_deps", "statek.dirty"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			k := newWaitsKit(t)
			def, id := k.define(pickTask)
			job := k.job("/")
			k.register(k.pool, job, k.plan(1, "pickTask", def, id, `["main"]`))
			k.quiesce()
			migration, writer := k.session(), k.session()
			_, err := migration.Exec(k.ctx, "begin; lock table "+table+" in access exclusive mode")
			k.must(err)
			bounded(k, writer, "insert into app.tasks (queue) values ('main')")
			_, err = migration.Exec(k.ctx, "rollback")
			k.must(err)
			if n, err := k.waits.WatchFailures(k.ctx); err != nil || n != 1 {
				t.Errorf("%d failures were counted, %v; want 1", n, err)
			}
			k.quiesce()
			if got := k.mail(job); len(got) != 0 {
				t.Fatalf("the job woke without a mark: %v", got)
			}
			round, err := k.waits.Sweep(k.ctx, 0, 10)
			k.must(err)
			if round.Caught != 1 || len(k.mail(job)) != 1 {
				t.Errorf("the sweep caught %d, mail %v; want one", round.Caught, k.mail(job))
			}
		})
	}
}

// bounded runs a write that may wait for our locks, but not for long: the bound is 50 ms, the test's is for slow machines.
func bounded(k *waitsKit, writer *pgxpool.Conn, sql string) {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.ctx, 10*time.Second)
	defer cancel()
	_, err := writer.Exec(ctx, sql)
	k.must(err)
}

// TestWatchProblems breaks a watch in every way and asks what is wrong; what can be mended is mended by watching again.
func TestWatchProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, breakIt, want string }{
		{"disabled", "alter table w.plain disable trigger user", "it is disabled"},
		{"enabled, not always", "alter table w.plain disable trigger user; alter table w.plain enable trigger user", "not ENABLE ALWAYS"},
		{"dropped triggers", "drop table w.plain; create table w.plain (id int primary key, q text, n int)", "it is missing"},
		{"a new leaf", "create table w.tree_new partition of w.tree for values from (300) to (400)", "w.tree_new lacks a working trigger"},
		{"an attached leaf", "create table w.tree_new (id int, q text); alter table w.tree attach partition w.tree_new for values from (300) to (400)", "w.tree_new lacks"},
		{"a new heir", "create table w.late () inherits (w.base)", "w.late lacks"},
		{"dropped function", "drop function statek.%[1]s cascade", "it is missing"},
		{"changed function", "create or replace function statek.%[1]s returns trigger language plpgsql security definer as 'begin return null; end'", "by another release"},
		{"! dropped", "drop table w.plain", "does not exist any more"},
		{"! renamed", "alter table w.plain rename to simple", "under this name: it is w.simple"},
		{"! moved", "alter table w.plain set schema public", "under this name: it is plain"},
		{"! renamed schema", "alter schema w rename to v", "under this name: it is v.plain"},
		{"! renamed column", "alter table w.plain rename q to queue", "w.plain has no column q"},
		{"! another type", "alter table w.plain alter q type numeric using 1", "type numeric, which cannot be a key"},
		{"! detached", "alter table w.tree detach partition w.tree_low", "is no part of it any more"},
		{"! another owner", "alter function statek.%[1]s owner to statek_tool", "belongs to statek_tool, which may not write marks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newWatchKit(t)
			var fn string
			k.scan("select statek.watch_name('w.plain', 'q') || '()'", &fn)
			k.exec(strings.ReplaceAll(c.breakIt, "%[1]s", fn))
			all, err := k.waits.WatchProblems(k.ctx)
			k.must(err)
			if !slices.ContainsFunc(all, func(p store.WatchProblem) bool { return strings.Contains(p.Problem, c.want) && p.Remedy != "" }) {
				t.Fatalf("problems %+v, want %q and a remedy", all, c.want)
			}
			left := slices.DeleteFunc(all, func(p store.WatchProblem) bool { return p.Fixable })
			for _, p := range slices.DeleteFunc(mustProblems(k), func(p store.WatchProblem) bool { return !p.Fixable }) {
				k.exec(p.Remedy)
			}
			if diff := cmp.Diff(left, mustProblems(k)); diff != "" {
				t.Errorf("after watching again (-want +got):\n%s", diff)
			}
			if byHand := strings.HasPrefix(c.name, "!"); byHand != (len(left) > 0) {
				t.Errorf("by hand: %v, left: %+v", byHand, left)
			}
		})
	}
}

func mustProblems(k *waitsKit) []store.WatchProblem {
	k.Helper()
	list, err := k.waits.WatchProblems(k.ctx)
	k.must(err)
	return list
}

// TestUnwatchWhatIsGone: a watch can be taken back after its table.
func TestUnwatchWhatIsGone(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	k.exec("drop table w.plain; select statek.unwatch('w.plain', 'q')")
	if got := mustProblems(k); len(got) != 0 {
		t.Errorf("problems %+v, want none", got)
	}
}

// TestRenamedColumnDoesNotHarmTheWriter: marks fail until somebody watches the new column; writes do not.
func TestRenamedColumnDoesNotHarmTheWriter(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	k.exec("alter table w.plain rename q to queue; insert into w.plain values (1, 'a'); update w.plain set queue = 'b'; delete from w.plain; truncate w.plain")
	if n, err := k.waits.WatchFailures(k.ctx); err != nil || n != 3 {
		t.Errorf("%d failures were counted, %v; want 3 (TRUNCATE needs no column)", n, err)
	}
}

// TestForeignChildrenAreRefused: Postgres cannot show their rows to our triggers, and would refuse the application's write.
func TestForeignChildrenAreRefused(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	k.exec(`create foreign data wrapper nowhere; create server far foreign data wrapper nowhere;
		create foreign table w.tree_far partition of w.tree for values from (900) to (999) server far`)
	_, err := k.pool.Exec(k.ctx, "select statek.watch('w.tree')")
	if err == nil || !strings.Contains(err.Error(), "has the foreign table w.tree_far as a child") {
		t.Errorf("watch: %v, want a refusal", err)
	}
	if got := mustProblems(k); len(got) == 0 || !strings.Contains(got[0].Problem, "foreign table w.tree_far") {
		t.Errorf("problems %+v, want the foreign table", got)
	}
}

// TestSubscriptionsAreReported: what logical replication writes fires no statement trigger.
func TestSubscriptionsAreReported(t *testing.T) {
	t.Parallel()
	k := newWatchKit(t)
	k.exec("create subscription s connection 'dbname=nowhere' publication p with (connect = false, slot_name = none)")
	k.Cleanup(func() { // else the database could not be dropped
		_, err := k.pool.Exec(context.Background(), "drop subscription s")
		k.must(err)
	})
	k.exec(`begin; set local allow_system_table_mods = on;
		insert into pg_subscription_rel (srsubid, srrelid, srsubstate) select s.oid, 'w.plain'::regclass, 'r' from pg_subscription s where subname = 's'; commit`)
	got := mustProblems(k)
	if len(got) != 1 || !strings.Contains(got[0].Problem, "w.plain is fed by a subscription") || got[0].Fixable || !got[0].Serious {
		t.Errorf("problems %+v, want the subscription", got)
	}
}
