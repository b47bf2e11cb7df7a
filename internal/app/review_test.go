package app_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"statek/internal/app"
)

const reviewSchema = `
create schema app;
create type app.kind as enum ('a', 'b');
create table app.tasks (id bigint primary key, queue text, kind app.kind, n int, state text, "odd:name" text, weight numeric);
create table app.secret (id int primary key);
create table app.parts (id int, queue text) partition by range (id);
create table app.parts_low partition of app.parts for values from (0) to (10);
create view app.ready as select t.queue from app.tasks t join app.parts p on p.id = t.id where t.state = 'ready';
create function app.open() returns boolean language sql stable as 'select true';
create function app.moody() returns boolean language plpgsql as 'begin return true; end';
grant usage on schema app to statek_tool;
grant select, update on app.tasks, app.parts, app.parts_low to statek_tool;
grant select on app.ready to statek_tool;`

// temporalFile is a temporal of queue q with parts replaced.
func temporalFile(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`-- temporal: t(queue text)
-- watch: app.tasks key queue
-- condition
select 1 from app.tasks
where queue = :queue
-- complement
update app.tasks set state = 'taken' where id = (select id from app.tasks where queue = :queue limit 1 for update skip locked)
returning id
-- release
update app.tasks set state = 'ready' where id = (:value->>'id')::bigint
`)
}

// TestApplyReviewsSQL: what Postgres can know about a definition is said when it is applied, with its file and line.
func TestApplyReviewsSQL(t *testing.T) {
	t.Parallel()
	const from, where = "select 1 from app.tasks", "\nwhere queue = :queue"
	k := newKit(t, nil)
	k.exec(reviewSchema)
	for name, c := range map[string]struct {
		text string
		want string // a line of the error; empty: accepted without a word
	}{
		"fine":                     {text: temporalFile()},
		"watch of no table":        {temporalFile("watch: app.tasks", "watch: app.gone"), "temporals/t.sql:2: there is no table app.gone"},
		"watch of a view":          {temporalFile("watch: app.tasks", "watch: app.ready"), "temporals/t.sql:2: app.ready is not a table"},
		"watch of no column":       {temporalFile("key queue", "key q = :queue"), "temporals/t.sql:2: table app.tasks has no column q"},
		"key of another type":      {temporalFile("key queue", "key n = :queue"), "temporals/t.sql:2: column n of app.tasks is integer and is compared with a parameter of type text"},
		"key of no text":           {temporalFile("key queue", "key weight = :queue"), "temporals/t.sql:2: column weight of app.tasks has type numeric, which cannot be a key"},
		"enum key, text parameter": {text: temporalFile("key queue", "key kind = :queue", where, "\nwhere kind::text = :queue")},
		"varchar parameter":        {text: temporalFile("(queue text)", "(queue varchar(10))")},
		"no such column":           {temporalFile(where, "\nwhere\n  queu = :queue"), `temporals/t.sql:6: column "queu" does not exist`},
		"no such table":            {temporalFile(from, "select 1\n\nfrom app.taks"), `temporals/t.sql:6: relation "app.taks" does not exist`},
		"no such type":             {temporalFile("(queue text)", "(queue txt)"), `type "txt" does not exist`},
		"syntax":                   {temporalFile("returning id", "retuning id"), `temporals/t.sql:8: syntax error at or near`},
		"release that fails":       {temporalFile("'ready' where id", "'ready' where idd"), `temporals/t.sql:10: column "idd" does not exist`},
		"release that does not":    {temporalFile("update app.tasks set state = 'ready' where id =", "select"), `temporals/t.sql:10: warning: the release statement changes nothing`},
		"reads what is unwatched":  {temporalFile(where, "\nwhere queue = :queue and exists (\n  select from app.parts)"), `temporals/t.sql:6: the condition reads app.parts, which is not watched: add "-- watch: app.parts"`},
		"reads it behind a view":   {temporalFile(from, "select 1 from app.ready"), `temporals/t.sql:4: the condition reads app.parts, which is not watched`},
		"a view, all watched":      {text: temporalFile(from, "select 1 from app.ready", "-- condition", "-- watch: app.parts\n-- condition")},
		"a partition of a watched": {text: temporalFile(from, "select 1 from app.tasks t join app.parts_low p using (id)", where, "\nwhere t.queue = :queue", "-- condition", "-- watch: app.parts\n-- condition")},
		"unwatched, with recheck":  {text: temporalFile(where, "\nwhere queue = :queue and exists (select from app.parts)", "-- condition", "-- recheck: 5s\n-- condition")},
		"a volatile function":      {temporalFile(where, "\nwhere queue = :queue\n  and app.moody()"), "temporals/t.sql:6: the condition calls app.moody(), which is VOLATILE"},
		"a volatile of Postgres":   {temporalFile(where, "\nwhere queue = :queue and lastval() > 0"), "temporals/t.sql:5: the condition calls lastval(), which is VOLATILE"},
		"volatile, with recheck":   {text: temporalFile(where, "\nwhere queue = :queue and app.moody()", "-- condition", "-- recheck: 5s\n-- condition")},
		"an opaque function":       {temporalFile(where, "\nwhere queue = :queue and app.open()"), "temporals/t.sql:5: warning: the condition calls app.open(): which tables it reads is not seen here"},
		"a condition that writes":  {temporalFile(from+where, "with x as (update app.tasks set n = 1 where queue = :queue returning 1) select 1 from x"), "temporals/t.sql:4: the condition writes"},
		"a condition that locks":   {temporalFile(where, where+" for update"), "temporals/t.sql:4: warning: the condition locks rows"},
		"no right on a table":      {temporalFile(where, "\nwhere exists (select from app.secret) and queue = :queue", "-- condition", "-- watch: app.secret\n-- condition"), "temporals/t.sql:5: permission denied for table secret; run: grant select on app.secret to statek_tool"},
		"no right to write":        {temporalFile("update app.tasks set state = 'taken' where", "delete from app.tasks where"), "temporals/t.sql:7: permission denied for table tasks; run: grant delete on app.tasks to statek_tool"},
		"no right on statek":       {temporalFile(where, "\nwhere queue = :queue and exists (select from statek.jobs)"), "permission denied for schema statek; run: grant usage on schema statek to statek_tool; grant select on statek.jobs to statek_tool"},
		"no value":                 {temporalFile("\nreturning id", ""), "temporals/t.sql:7: the complement returns no columns"},
		"two of one name":          {temporalFile("returning id", "returning id, n as id"), "temporals/t.sql:7: warning: the complement returns two columns named id"},
		"many rows":                {temporalFile("where id = (select id from app.tasks where queue = :queue limit 1 for update skip locked)", "where id in (select generate_series(1, 1000))"), "temporals/t.sql:7: warning: the complement may take more than one row"},
	} {
		changes, err := k.Apply(t.Context(), files{"temporals/t.sql": c.text}.folder(), "/")
		var said []string
		if err != nil {
			said = strings.Split(err.Error(), "\n")
		}
		for _, ch := range changes {
			if ch.Warning != "" {
				for one := range strings.SplitSeq(strings.ReplaceAll(ch.Warning, "; temporals/", "\ntemporals/"), "\n") {
					said = append(said, strings.Replace(one, ": ", ": warning: ", 1))
				}
			}
		}
		all := strings.Join(said, "\n")
		if !strings.Contains(all, c.want) || c.want == "" && all != "" {
			t.Errorf("%s: got\n%s\nwant %q", name, all, c.want)
		}
		if warned := strings.Contains(c.want, "warning:"); c.want != "" && warned != (err == nil) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestApplyWantsARecheckOfSubscribedTables: logical replication writes without statement triggers.
func TestApplyWantsARecheckOfSubscribedTables(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.exec(reviewSchema)
	k.exec("create subscription s connection 'dbname=nowhere' publication p with (connect = false, slot_name = none)")
	t.Cleanup(func() { // else the database could not be dropped
		if _, err := k.pool.Exec(context.Background(), "drop subscription s"); err != nil {
			t.Error(err)
		}
	})
	k.exec(`begin; set local allow_system_table_mods = on;
		insert into pg_subscription_rel (srsubid, srrelid, srsubstate) select s.oid, 'app.tasks'::regclass, 'r' from pg_subscription s where subname = 's'; commit`)
	_, err := k.Apply(t.Context(), files{"temporals/t.sql": temporalFile()}.folder(), "/")
	if err == nil || !strings.Contains(err.Error(), "temporals/t.sql:2: app.tasks is fed by a subscription") {
		t.Errorf("got %v, want to be asked for a recheck", err)
	}
	k.apply(files{"temporals/t.sql": temporalFile("-- condition", "-- recheck: 5s\n-- condition")})
}

// TestApplyReportsEverythingAtOnce: all files, all kinds, all lines; and nothing is stored.
func TestApplyReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.exec(reviewSchema)
	_, err := k.Apply(t.Context(), files{
		"agents/a.warmup.js": "print(", "agents/a.md": simpleAgent, "agents/b.warmup.js": "1",
		"tools/x.sql":     "-- tool: x(n int)\nselect nothing\nfrom app.tasks",
		"tools/y.sql":     "-- tool: z()\nselect 1",
		"temporals/t.sql": temporalFile("watch: app.tasks", "watch: app.gone", "queue = :queue", "q = :queue"),
		"temporals/u.sql": "-- temporal: u()\n-- watch: tasks\n-- condition\nselect :a\n-- complement\nselect :b\n",
		"temporals/v.sql": temporalFile("(queue", "_v(queue", "t_v(", "v("),
	}.folder(), "/")
	if err == nil {
		t.Fatal("a folder full of mistakes was applied")
	}
	for _, want := range []string{
		"agents/a.warmup.js:1: ", "agents/b.warmup.js:1: has no agent", `tools/x.sql:2: warning: column "nothing" does not exist`, "tools/y.sql:1: ",
		"temporals/t.sql:2: there is no table app.gone", `temporals/t.sql:5: column "q" does not exist`, `temporals/t.sql:7: column "q" does not exist`,
		"temporals/u.sql:2: ", "temporals/u.sql:4: unknown parameter :a", "temporals/u.sql:6: unknown parameter :b",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	var found app.Findings
	if !errors.As(err, &found) || len(found) < 10 {
		t.Errorf("got %d findings, want all of them", len(found))
	}
	var n int
	if err := k.pool.QueryRow(t.Context(), "select count(*) from statek.temporals").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d temporals were stored, %v; want 0", n, err)
	}
}
