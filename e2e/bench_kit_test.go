package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/devdb"
	"statek/internal/pgtest"
)

// waiters: pickers wait for a task of a queue, listeners for an event; each ends with 1.
var waiters = ledger(files{
	"agents/picker.md":          modelAgent,
	"agents/picker.warmup.js":   "const task = await pickNextTask(queue)\nprint(task.subject)\nexit(1)\n",
	"agents/listener.md":        modelAgent,
	"agents/listener.warmup.js": "await event('go')\nexit(1)\n",
})

// newBenchWorld is a world on a server of its own that waits for the disk at each commit and counts statements.
func newBenchWorld(b *testing.B, defs files) *world {
	b.Helper()
	server, err := devdb.Start(b.Context(), devdb.Config{Dir: openFolder(b), FSync: true, Logger: slog.New(slog.DiscardHandler), Settings: map[string]string{
		"shared_preload_libraries": "pg_stat_statements", "shared_buffers": "1GB", "max_wal_size": "4GB", "checkpoint_timeout": "15min",
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Stop(); err != nil {
			b.Error(err)
		}
	})
	if err := server.EnsureDatabase(b.Context(), "statek"); err != nil {
		b.Fatal(err)
	}
	url := server.URL("statek")
	if err := pgtest.Migrate(b.Context(), url); err != nil {
		b.Fatal(err)
	}
	w := newBareWorld(b, url)
	w.sql("create extension pg_stat_statements")
	w.prepare(defs)
	return w
}

// crowd makes n sleeping jobs out of one real one: all that it left, under new ids, with the word that only it uses
// replaced by one of their own, hence each in a group of its own; or, when shared, all in the group of the real
// one. They are numbered from 1 in bench.crowd.
func (w *world) crowd(template uuid.UUID, word string, n int, shared bool) {
	w.t.Helper()
	w.until("the first look is over", "not exists (select from statek.wait_checks)")
	w.sql("create schema if not exists bench")
	w.sql("create sequence if not exists bench.words")
	w.sql("drop table if exists bench.crowd")
	w.sql("create table bench.crowd (n integer, id uuid primary key, word text, hash bytea, group_id bigint)")
	w.sql(`insert into bench.crowd select n, statek.uuidv7(), $1::text || '-' || nextval('bench.words'), null,
		(select group_id from statek.waits where job_id = $2) from generate_series(1, $3::integer) n`, word, template, n)
	job := "t.job_id = '" + template.String() + "'"
	if !shared {
		identity := query[string](w, `select format('["%s","%s","%s","%s",%s,[%s]]', g.prefix, g.kind, g.name, g.temporal_id, g.args,
				(select string_agg('"' || d.dep || '"', ',' order by d.dep) from statek.wait_deps d where d.group_id = g.id))
			from statek.wait_groups g join statek.waits t on t.group_id = g.id where `+job)
		if !query[bool](w, `select exists (select from statek.wait_groups where hash = sha256(convert_to($1, 'utf8')))`, identity) {
			w.t.Fatalf("the hash of a group is not that of %s any more", identity)
		}
		w.sql("update bench.crowd set hash = sha256(convert_to(replace($1, $2, word), 'utf8'))", identity, word)
		group := "(select group_id from statek.waits t where " + job + ")"
		w.clone("wait_groups", "t.id = "+group, template, word, map[string]string{"hash": "m.hash"})
		w.sql("update bench.crowd m set group_id = g.id from statek.wait_groups g where g.hash = m.hash")
		w.clone("wait_deps", "t.group_id = "+group, template, word, map[string]string{"group_id": "m.group_id"})
	}
	w.clone("jobs", "t.id = '"+template.String()+"'", template, word, map[string]string{"id": "m.id"})
	// The hash of the machine's state covers ids and words; a replay without one is checked by its calls alone.
	payload := fmt.Sprintf(`replace(replace(regexp_replace(t.payload::text, ',"hash":"[0-9a-f]+"', '', 'g'), '%s', m.id::text), '%s', m.word)::json`, template, word)
	w.clone("history", job, template, word, map[string]string{"job_id": "m.id", "payload": payload})
	for _, table := range []string{"job_state", "variables"} {
		w.clone(table, job, template, word, map[string]string{"job_id": "m.id"})
	}
	w.clone("waits", job, template, word, map[string]string{"job_id": "m.id", "group_id": "m.group_id"})
	w.sql("create index on bench.crowd (n)")
	w.sql("vacuum (analyze)") // as autovacuum would in its time
	w.sql("checkpoint")
}

// clone copies rows of a table once for each of the crowd. Whatever columns there will be: texts have their words
// replaced, the rest is the same.
func (w *world) clone(table, where string, template uuid.UUID, word string, instead map[string]string) {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `select attname, format_type(atttypid, atttypmod) from pg_attribute
		where attrelid = ('statek.' || $1)::regclass and attnum > 0 and not attisdropped and attidentity = '' and attgenerated = '' order by attnum`, table)
	if err != nil {
		w.t.Fatal(err)
	}
	var names, values []string
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind}, func() error {
		value := "t." + name
		if kind == "json" || kind == "text" {
			value = fmt.Sprintf("replace(replace(t.%s::text, '%s', m.id::text), '%s', m.word)::%s", name, template, word, kind)
		}
		if other, ok := instead[name]; ok {
			value = other
		}
		names, values = append(names, name), append(values, value)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.sql(fmt.Sprintf("insert into statek.%s (%s) select %s from statek.%s t, bench.crowd m where %s order by m.n",
		table, strings.Join(names, ", "), strings.Join(values, ", "), table, where))
}

// process figures of Linux; a system without /proc has none.
type figures struct {
	rss int64         // bytes
	cpu time.Duration // used so far, also by children that have ended
}

// family sums the figures of a process and of all that descends from it.
func family(t testing.TB, pid int) (all figures) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("needs /proc")
	}
	own, children := map[int]figures{}, map[int][]int{}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		f := strings.Fields(rest) // from the third field on
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		number := func(field int) int64 { n, _ := strconv.ParseInt(f[field-3], 10, 64); return n }
		const tick = 10 * time.Millisecond
		own[id] = figures{
			rss: number(24) * int64(os.Getpagesize()),
			cpu: time.Duration(number(14)+number(15)+number(16)+number(17)) * tick,
		}
		parent := int(number(4))
		children[parent] = append(children[parent], id)
	}
	for ids := []int{pid}; len(ids) > 0; ids = ids[1:] {
		all.rss += own[ids[0]].rss
		all.cpu += own[ids[0]].cpu
		ids = append(ids, children[ids[0]]...)
	}
	return all
}

// postmaster is the process id of the database server.
func (w *world) postmaster() int {
	w.t.Helper()
	return query[int](w, `select split_part(pg_read_file('postmaster.pid'), chr(10), 1)::integer`)
}

// statements counts what clients of the database have asked so far, transactions' ends included.
func (w *world) statements() int64 {
	w.t.Helper()
	return query[int64](w, `select coalesce(sum(calls), 0)::bigint from pg_stat_statements
		where dbid = (select oid from pg_database where datname = current_database())`)
}

// stored is the size of all tables and indexes of ours.
func (w *world) stored() int64 {
	w.t.Helper()
	return query[int64](w, `select sum(pg_total_relation_size(c.oid))::bigint from pg_class c
		where c.relkind = 'r' and c.relnamespace = 'statek'::regnamespace`)
}

// loudest lists the statements that took the server longest.
func (w *world) loudest() string {
	w.t.Helper()
	return query[string](w, `select string_agg(format('%8s x %8s ms  %s', calls, round(mean_exec_time::numeric, 3), left(regexp_replace(query, '\s+', ' ', 'g'), 100)), chr(10))
		from (select calls, mean_exec_time, query from pg_stat_statements
			where dbid = (select oid from pg_database where datname = current_database()) order by total_exec_time desc limit 25) x`)
}

// watch samples until what is asked of the database is true, and returns how long that took.
func (w *world) watch(sample func(), condition string, args ...any) time.Duration {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute)
	defer cancel()
	for began := time.Now(); ; {
		var yes bool
		if err := w.pool.QueryRow(ctx, "select ("+condition+") from pg_sleep(0.1)", args...).Scan(&yes); err != nil {
			w.t.Fatalf("waiting until %s: %v", condition, err)
		}
		sample()
		if yes {
			return time.Since(began)
		}
	}
}
